"""A YAML stream that JSON Patch operations edit with minimal changes, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import jsonpatch

from webhook.yaml_patch.aliases import expand_aliases, expand_broken_aliases
from webhook.yaml_patch.block_writer import DocumentWriter
from webhook.yaml_patch.errors import InvalidYaml, UnsupportedOperation, Unwritable
from webhook.yaml_patch.move import move_item
from webhook.yaml_patch.nodes import Document, Node, to_data
from webhook.yaml_patch.parser import parse_document, split_documents
from webhook.yaml_patch.patch import (
    PatchedCollection,
    Slot,
    children,
    is_changed,
    is_identical,
    patch_node,
    replace_open_block,
)
from webhook.yaml_patch.style import Style, detect_style

_OPERATIONS = ("add", "replace", "remove", "move")
# The member of an operation that names what is removed.
_REMOVED = {"remove": "path", "move": "from"}


class YamlStream:
    """A YAML stream of one or more documents, with its text.

    Raises:
        InvalidYaml: the text is not YAML, or has no single meaning as JSON.

    """

    def __init__(self, text: str) -> None:
        self._documents: list[Document] = []
        line = 0
        for piece in split_documents(text):
            try:
                self._documents.append(parse_document(piece))
            except InvalidYaml as error:
                raise InvalidYaml(line + error.line, error.column, error.problem) from None
            line += piece.count("\n")

    @property
    def documents(self) -> list[Any]:
        """The documents as plain data; modifying this data has no effect on the text."""
        return [to_data(part.root) for part in self._documents if part.root is not None]

    @property
    def text(self) -> str:
        """The text with all changes."""
        return "".join(part.text for part in self._documents)

    def apply(self, document: int, operations: Sequence[Mapping[str, Any]]) -> None:
        """Apply JSON Patch operations to the document with an index, in order; either all of them or none.

        Raises:
            UnsupportedOperation: an operation is none of add, replace, remove and move, or leaves nothing, or has
                a value that is not JSON.
            Unwritable: the patched data cannot be written as YAML.
            jsonpatch.JsonPatchException: an operation cannot be applied.
            jsonpatch.JsonPointerException: a path is not a valid JSON Pointer, or does not exist.

        """
        for operation in operations:
            removed = operation.get(_REMOVED.get(operation["op"], ""))
            if operation["op"] not in _OPERATIONS or removed == "":
                raise UnsupportedOperation(f"{operation['op']} {operation['path']!r} cannot be applied to YAML text")
            if not _is_json(operation.get("value")):
                raise UnsupportedOperation(f"the value for {operation['path']!r} is not JSON")
        index = [index for index, part in enumerate(self._documents) if part.root is not None][document]
        self._documents[index] = _patch_document(self._documents[index], operations)


def _patch_document(document: Document, operations: Sequence[Mapping[str, Any]]) -> Document:
    changes: list[Mapping[str, Any]] = []
    for operation in operations:
        if operation["op"] != "move":
            changes.append(operation)
            continue
        # Only text can be moved as text.
        document = _move(_change_nodes(document, changes), operation)
        changes = []
    return _change_nodes(document, changes)


def _change_nodes(document: Document, operations: Sequence[Mapping[str, Any]]) -> Document:
    if document.root is None or not operations:
        return document
    expected = jsonpatch.apply_patch(to_data(document.root), deepcopy(list(operations)), in_place=True)
    patched = patch_node(document.root, operations)
    expand_broken_aliases(patched)
    return _write(document, document.root, patched, expected)


def _write(document: Document, root: Node, patched: Slot, expected: Any) -> Document:
    for style, rewritten in _fallbacks(patched, document):
        text = DocumentWriter(document, style, rewritten).write(root, patched)
        if (edited := _parse_back(document.text, text, expected)) is not None:
            return edited
    raise Unwritable("the new values cannot be written as YAML")


def _move(document: Document, operation: Mapping[str, Any]) -> Document:
    before = to_data(document.root) if document.root is not None else None
    expected = jsonpatch.apply_patch(before, [operation])
    source, target = operation["from"], operation["path"]
    if source == target:
        return document
    text = _move_text(document, jsonpatch.JsonPointer(source).parts, jsonpatch.JsonPointer(target).parts, before)
    if text is not None and (moved := _parse_back(document.text, text, expected)) is not None:
        return moved
    value = jsonpatch.JsonPointer(source).resolve(before)
    return _change_nodes(document, [{"op": "remove", "path": source}, {"op": "add", "path": target, "value": value}])


def _move_text(document: Document, source: Sequence[str], target: Sequence[str], data: Any) -> str | None:
    """Return the text after moving an item, if it can be moved as it is written."""
    text = document.text if _ends_with_line(document.text) else document.text + detect_style(document).newline
    # The line break may become part of a value.
    complete = document if text == document.text else _parse_back(text, text, data)
    move = move_item(complete, source, target) if complete else None
    if complete and complete.root and move and move.aliases:
        patched = patch_node(complete.root, ())
        expand_aliases(patched, move.aliases)
        move = move_item(_write(complete, complete.root, patched, data), source, target)
    return move.text if move else None


def _is_json(value: Any) -> bool:
    try:
        return is_identical(json.loads(json.dumps(value)), value)
    except TypeError:
        return False


def _parse_back(before: str, text: str, expected: Any) -> Document | None:
    """Return the edited text as a document, if it has the intended meaning."""
    candidates = [text]
    if not _ends_with_line(before) and text.endswith("\n"):
        # A text without a final line break keeps none, unless it is part of a value.
        candidates.insert(0, text.removesuffix("\n").removesuffix("\r"))
    for candidate in candidates:
        try:
            document = parse_document(candidate)
        except InvalidYaml:
            continue
        if document.root and is_identical(to_data(document.root), expected) and len(split_documents(candidate)) == 1:
            return document
    return None


def _ends_with_line(text: str) -> bool:
    return text.endswith(("\n", "\r"))


def _fallbacks(root: Slot, document: Document) -> Iterator[tuple[Style, frozenset[int]]]:
    """Yield styles, and the collections to rewrite: first none, then ever larger ones around the changes.

    Edited text may have another meaning if it is written in an unexpected way.
    """
    style = detect_style(document)
    yield style, frozenset()
    # A block scalar that keeps trailing blank lines also takes those that follow it in the text. One that ended the
    # text without a line break gets one.
    style = replace(style, keeps_blank_lines=False)
    if not _ends_with_line(document.text):
        replace_open_block(root, len(document.text))
    yield style, frozenset()
    # Comments and blanks after a block scalar can become part of its content if they have the same indentation.
    style = replace(style, blocks=False)
    yield style, frozenset()
    paths = list(_changed_paths(root))
    for level in range(1, max(map(len, paths), default=0) + 1):
        yield style, frozenset(path[max(0, len(path) - level)] for path in paths)


def _changed_paths(root: Slot) -> Iterator[list[int]]:
    """Yield the changed collections, each with all enclosing ones."""
    pending: list[tuple[Slot, list[int]]] = [(root, [])]
    while pending:
        slot, above = pending.pop()
        if isinstance(slot.value, PatchedCollection):
            path = [*above, id(slot.value.node)]
            if is_changed(slot.value):
                yield path
            pending += [(child, path) for child in children(slot.value)]
