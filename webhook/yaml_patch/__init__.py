"""Applies JSON Patch to YAML text: only the lines that have to change do.

`stream` is the entry point. `parser` (with `scanner`) turns text into `nodes` with positions, `patch` and `aliases`
apply operations to these, and `block_writer`, `flow_writer` and `style` write the difference as text. `move` moves the
text of an item to another list. `scalars` knows how single values are read and written.
"""

from webhook.yaml_patch.errors import InvalidYaml, UnsupportedOperation, Unwritable, YamlPatchError
from webhook.yaml_patch.stream import YamlStream

__all__ = ["InvalidYaml", "UnsupportedOperation", "Unwritable", "YamlPatchError", "YamlStream"]
