"""Detects images that cannot contain a shell, without reading their layers."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from webhook.core.recognize.image_names import ImageName
from webhook.core.recognize.shell_less_images import is_shell_less_base
from webhook.core.tables import load_table
from webhook.images.errors import InvalidReference, printable
from webhook.images.oci import ExecutionConfig, ImageConfig, Manifest, NullableStr, as_strings
from webhook.images.reference import parse_reference

# https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md
BASE_NAME = "org.opencontainers.image.base.name"
_SHELLS = frozenset({"sh", "ash", "bash", "dash", "busybox"})


class Trace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The traces of a base image without a shell: its first step, a variable, and what must be absent."""

    name: str
    first_step: str
    environment: str
    excluded_step: str
    excluded_environment: str
    source: str


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The table of traces."""

    trace: tuple[Trace, ...]


TABLE = load_table(__name__, "shell_detection.toml", Table)


def shell_less_reason(manifest: Manifest, config: ImageConfig, index_annotations: Mapping[str, NullableStr]) -> str:
    """Return, as half a sentence, why an image cannot contain a shell; empty if that is not known."""
    execution = config.execution
    if _runs_shell(execution):
        return ""
    if not manifest.layers:
        return "it has no layers"
    sources = (manifest.annotations, index_annotations, execution.labels or {})
    base = next(filter(None, (source.get(BASE_NAME) for source in sources)), "")
    if _is_shell_less(base):
        return f"its base image is {printable(base.partition('@')[0])}"
    trace = next((trace.name for trace in TABLE.trace if _matches(trace, config)), "")
    return trace and f"its base image is {trace}"


def _runs_shell(execution: ExecutionConfig) -> bool:
    first_words = (words[0] for words in (as_strings(execution.entrypoint), as_strings(execution.cmd)) if words)
    return any(word.rpartition("/")[2] in _SHELLS for word in first_words)


def _is_shell_less(base: str) -> bool:
    if base == "scratch":
        return True
    try:
        reference = parse_reference(base)
    except InvalidReference:
        return False
    # A digest alone does not distinguish variants with a shell.
    has_tag = not reference.digest or reference.tag != "latest"
    return has_tag and is_shell_less_base(ImageName(reference.registry, reference.repository, reference.tag, ""))


def _matches(trace: Trace, config: ImageConfig) -> bool:
    steps = as_strings(step.created_by if step else None for step in config.history or ())
    environment = as_strings(config.execution.env)
    return (
        bool(steps)
        and steps[0].startswith(trace.first_step)
        and trace.environment in environment
        and not any(trace.excluded_step in step for step in steps)
        and not any(trace.excluded_environment in variable for variable in environment)
    )
