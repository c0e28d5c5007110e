"""How many lines of a manifest change unnecessarily: JSON Patch on its text, compared to ruamel.yaml's round trip.

    python -m benchmarks.yaml_editors FOLDER...

Every manifest in the folders is injected, with its first container named as the worker if it would be left alone.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from statistics import quantiles
from typing import Any

import jsonpatch
from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from webhook.cli.manifests import Manifest, Template, Unreadable, read_manifest
from webhook.core.injection import inject
from webhook.core.patch.json_patch import Operation, escape
from webhook.core.pod import JsonObject
from webhook.core.policy import Policy
from webhook.yaml_patch import YamlStream
from webhook.yaml_patch.nodes import Collection, Document, Entry, resolve_alias
from webhook.yaml_patch.parser import parse_document, split_documents
from webhook.yaml_patch.scalars import is_plain
from webhook.yaml_patch.style import detect_style

Patches = dict[int, list[Operation]]
"""Operations by the indexes of their documents."""


@dataclass(frozen=True)
class Result:
    """The result for a manifest."""

    without_edit: int
    """Lines that loading and dumping alone changes."""
    unneeded: int
    """Lines that an injection changes, but does not have to."""
    is_right: bool
    """Whether the result parses as the patched data."""


def patch_text(text: str, patches: Patches) -> str:
    """Apply JSON Patch to the text itself."""
    stream = YamlStream(text)
    for document, operations in patches.items():
        stream.apply(document, operations)
    return stream.text


def round_trip(text: str, patches: Patches) -> str:
    """Load and dump the patched documents with ruamel.yaml, in the indentation that most of their lines have."""
    parts, index = split_documents(text), 0
    for position, part in enumerate(parts):
        document = parse_document(part)
        if document.root is not None:
            if index in patches:
                parts[position] = _dump(part, document, patches[index])
            index += 1
    return "".join(parts)


def _dump(text: str, document: Document, operations: Sequence[Operation]) -> str:
    style = detect_style(document)
    yaml: Any = YAML(typ="rt", pure=True)
    yaml.preserve_quotes, yaml.width = True, 1_000_000
    yaml.indent(mapping=style.step, sequence=style.sequence_indent + 2, offset=style.sequence_indent)
    yaml.explicit_start = re.search(r"^---(\s|\Z)", text, re.MULTILINE) is not None
    yaml.line_break = style.newline if style.newline != "\n" else None
    data = yaml.load(text)
    for operation in operations:
        data = jsonpatch.apply_patch(data, [{**operation, "value": _styled(operation.get("value"))}], in_place=True)
    written = io.StringIO(newline="")
    yaml.dump(data, written)
    return written.getvalue()


def _styled(value: Any) -> Any:
    """Return a new value with the style that keeps its meaning."""
    if isinstance(value, dict):
        return {key: _styled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_styled(item) for item in value]
    if not isinstance(value, str) or is_plain(value, flow=False):
        return value
    return LiteralScalarString(value) if "\n" in value else DoubleQuotedScalarString(value)


def injection(template: Template) -> list[Operation]:
    """Return the operations that protect a pod, as its document needs them."""
    pod = template.as_made
    patch = inject(pod, Policy()).patch
    if not patch:
        worker = pod["spec"]["containers"][0].get("name", "")
        add = [
            *_added(pod, "labels", "graceful-worker", "enabled"),
            *_added(pod, "annotations", "graceful-worker/containers", worker),
        ]
        if not isinstance(pod.get("metadata"), dict):
            add.insert(0, {"op": "add", "path": "/metadata", "value": {}})
        patch = [*add, *inject(jsonpatch.apply_patch(pod, deepcopy(add)), Policy()).patch]
    return template.absolute(patch)


def _added(pod: JsonObject, field: str, key: str, value: str) -> list[Operation]:
    """Return the operation that adds a label or annotation."""
    metadata = pod.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get(field), dict):
        return [{"op": "add", "path": f"/metadata/{field}/{escape(key)}", "value": value}]
    return [{"op": "add", "path": f"/metadata/{field}", "value": {key: value}}]


def lines_to_change(text: str, patches: Patches) -> set[int]:
    """Return the lines that have to change: those of removed values, and of collections that grow within a line."""
    lines: set[int] = set()
    first, index = 0, 0
    for part in split_documents(text):
        document = parse_document(part)
        if document.root is not None:
            for operation in patches.get(index, ()):
                for pointer in (operation["path"], *filter(None, [operation.get("from")])):
                    for start, end in _spans(document, jsonpatch.JsonPointer(pointer).parts):
                        lines |= set(range(first + part.count("\n", 0, start), first + part.count("\n", 0, end) + 1))
            index += 1
        first += part.count("\n")
    return lines


def _spans(document: Document, path: Sequence[str]) -> Iterator[tuple[int, int]]:
    node, entry = document.root, None
    for token in path:
        collection = resolve_alias(node) if node is not None else None
        is_written_out = isinstance(collection, Collection) and not collection.flow and collection.entries
        if not is_written_out or not isinstance(collection, Collection):
            if entry is not None:
                yield entry.start, entry.end - 1
            return
        entry = _find(collection, token)
        if entry is None:
            return
        node = entry.value
    # Of a collection, the entries that stay are compared one by one.
    if entry is not None and not (isinstance(node, Collection) and not node.flow):
        yield entry.start, entry.end - 1


def _find(collection: Collection, token: str) -> Entry | None:
    if collection.is_mapping:
        return next((entry for entry in collection.entries if entry.key == token), None)
    return collection.entries[int(token)] if token.isdigit() and int(token) < len(collection.entries) else None


def changed_lines(before: str, after: str) -> set[int]:
    """Return the lines of a text that are not in another."""
    matcher = SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    return {line for tag, start, end, _, _ in matcher.get_opcodes() if tag != "equal" for line in range(start, end)}


def measure(manifest: Manifest, edit: Callable[[str, Patches], str]) -> Result:
    """Edit a manifest, without operations and with those of its injection."""
    text = manifest.text.text
    patches: Patches = {}
    for template in manifest.templates:
        patches.setdefault(template.document, []).extend(injection(template))
    expected = manifest.text.documents
    for document, operations in patches.items():
        expected[document] = jsonpatch.apply_patch(expected[document], deepcopy(operations))
    edited = edit(text, patches)
    return Result(
        len(changed_lines(text, edit(text, {document: [] for document in patches}))),
        len(changed_lines(text, edited) - lines_to_change(text, patches)),
        YamlStream(edited).documents == expected,
    )


def main() -> None:
    """Print a table."""
    manifests = [manifest for folder in sys.argv[1:] for manifest in _read(Path(folder))]
    print("| editor | manifests | changed without edit | unneeded lines in | median | 90 % | most | wrong |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, edit in (("text", patch_text), ("round trip", round_trip)):
        results = [measure(manifest, edit) for manifest in manifests]
        lines = sorted(result.unneeded for result in results)
        deciles = quantiles(lines, n=10, method="inclusive")
        touched = sum(result.without_edit > 0 for result in results), sum(line > 0 for line in lines)
        wrong = sum(not result.is_right for result in results)
        row = (name, len(lines), *touched, f"{deciles[4]:.0f}", f"{deciles[8]:.0f}", lines[-1], wrong)
        print("|", " | ".join(map(str, row)), "|")


def _read(folder: Path) -> Iterator[Manifest]:
    for path in sorted(folder.rglob("*.y*ml")):
        try:
            manifest = read_manifest(str(path))
        except Unreadable as error:
            print(error, file=sys.stderr)
            continue
        if isinstance(manifest.text, YamlStream) and any(manifest.templates):
            yield manifest


if __name__ == "__main__":
    main()
