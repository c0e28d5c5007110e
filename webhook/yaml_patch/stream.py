"""A YAML stream that JSON Patch operations edit with minimal changes, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import jsonpatch

from webhook.yaml_patch.block_writer import Editor
from webhook.yaml_patch.move import move_item
from webhook.yaml_patch.nodes import Document, Node, plain
from webhook.yaml_patch.parser import InvalidYaml, read_document, split_documents
from webhook.yaml_patch.patch import (
    DocumentDraft,
    Draft,
    Slot,
    children,
    is_changed,
    same,
    tokens_of,
    write_out_open_block,
)
from webhook.yaml_patch.style import Style, style_of

__all__ = ["InvalidYaml", "YamlText"]

_OPERATIONS = ("add", "replace", "remove", "move")
# The member of an operation that names what is removed.
_REMOVED = {"remove": "path", "move": "from"}


class YamlText:
    """A YAML stream of one or more documents, with its text.

    Raises:
        InvalidYaml: Kubernetes would not accept the text.

    """

    def __init__(self, text: str) -> None:
        self._parts: list[Document] = []
        line = 0
        for piece in split_documents(text):
            try:
                self._parts.append(read_document(piece))
            except InvalidYaml as error:
                raise InvalidYaml(line + error.line, error.column, error.problem) from None
            line += piece.count("\n")

    @property
    def documents(self) -> list[Any]:
        """The documents as Kubernetes reads them; modifying this data has no effect on the text."""
        return [plain(part.root) for part in self._parts if part.root is not None]

    @property
    def text(self) -> str:
        """The text with all changes."""
        return "".join(part.text for part in self._parts)

    def apply(self, document: int, operations: Sequence[Mapping[str, Any]]) -> None:
        """Apply JSON Patch operations to the document with an index, in order; either all of them or none.

        Raises:
            ValueError: an operation is none of add, replace, remove and move, or leaves nothing, or has a value that is
                no JSON.
            jsonpatch.JsonPatchException: an operation cannot be applied.
            jsonpatch.JsonPointerException: a path is not a valid JSON Pointer, or does not exist.

        """
        for operation in operations:
            removed = operation.get(_REMOVED.get(operation["op"], ""))
            if operation["op"] not in _OPERATIONS or removed == "":
                raise ValueError(f"{operation['op']} {operation['path']!r} cannot be applied to YAML text")
            if not _is_json(operation.get("value")):
                raise ValueError(f"the value for {operation['path']!r} is not JSON")
        indexes = [index for index, part in enumerate(self._parts) if part.root is not None]
        index = indexes[document]
        self._parts[index] = _edited(self._parts[index], operations)


def _edited(document: Document, operations: Sequence[Mapping[str, Any]]) -> Document:
    changes: list[Mapping[str, Any]] = []
    for operation in operations:
        if operation["op"] != "move":
            changes.append(operation)
            continue
        # Only text can be moved as text.
        document = _moved(_changed(document, changes), operation)
        changes = []
    return _changed(document, changes)


def _changed(document: Document, operations: Sequence[Mapping[str, Any]]) -> Document:
    if document.root is None or not operations:
        return document
    wanted = jsonpatch.apply_patch(plain(document.root), deepcopy(list(operations)), in_place=True)
    draft = DocumentDraft(document.root)
    for operation in operations:
        draft.apply(operation)
    draft.settle()
    return _written(document, document.root, draft, wanted)


def _written(document: Document, root: Node, draft: DocumentDraft, wanted: Any) -> Document:
    for style, rewritten in _attempts(draft.root, document):
        text = Editor(document, style, rewritten).write(root, draft.root)
        if (edited := _read_back(document.text, text, wanted)) is not None:
            return edited
    raise ValueError("the new values cannot be written as YAML")


def _moved(document: Document, operation: Mapping[str, Any]) -> Document:
    before = plain(document.root) if document.root is not None else None
    wanted = jsonpatch.apply_patch(before, [operation])
    source, target = operation["from"], operation["path"]
    if source == target:
        return document
    text = _moved_text(document, tokens_of(source), tokens_of(target), before)
    if text is not None and (moved := _read_back(document.text, text, wanted)) is not None:
        return moved
    value = jsonpatch.JsonPointer(source).resolve(before)
    return _changed(document, [{"op": "remove", "path": source}, {"op": "add", "path": target, "value": value}])


def _moved_text(document: Document, source: Sequence[str], target: Sequence[str], data: Any) -> str | None:
    """Return the text after moving an item, if it can be moved as it is written."""
    whole = _with_line_end(document, data)
    move = move_item(whole, source, target) if whole else None
    if whole and move and move.aliases:
        move = move_item(_without_aliases(whole, move.aliases, data), source, target)
    return move.text if move else None


def _with_line_end(document: Document, data: Any) -> Document | None:
    """Return a document whose text ends with a line break; None if the break would become part of a value."""
    if _ends_with_line(document.text):
        return document
    text = document.text + style_of(document).newline
    return _read_back(text, text, data)


def _without_aliases(document: Document, aliases: frozenset[int], data: Any) -> Document:
    if document.root is None:
        return document
    draft = DocumentDraft(document.root)
    draft.write_out(aliases)
    return _written(document, document.root, draft, data)


def _is_json(value: Any) -> bool:
    try:
        return same(json.loads(json.dumps(value)), value)
    except TypeError:
        return False


def _read_back(before: str, text: str, wanted: Any) -> Document | None:
    """Return the edited text as a document, if it has the intended meaning."""
    candidates = [text]
    if not _ends_with_line(before) and text.endswith("\n"):
        # A text without a final line break keeps none, unless it is part of a value.
        candidates.insert(0, text.removesuffix("\n").removesuffix("\r"))
    for candidate in candidates:
        try:
            document = read_document(candidate)
        except InvalidYaml:
            continue
        if document.root and same(plain(document.root), wanted) and len(split_documents(candidate)) == 1:
            return document
    return None


def _ends_with_line(text: str) -> bool:
    return text.endswith(("\n", "\r"))


def _attempts(root: Slot, document: Document) -> Iterator[tuple[Style, frozenset[int]]]:
    """Yield styles, and the collections to rewrite: first none, then ever larger ones around the changes.

    Edited text may have another meaning if it is written in an unexpected way.
    """
    style = style_of(document)
    yield style, frozenset()
    # A block scalar that keeps trailing blank lines also takes those that follow it in the text. One that ended the
    # text without a line break gets one.
    style = replace(style, keeps_blank_lines=False)
    if not _ends_with_line(document.text):
        write_out_open_block(root, len(document.text))
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
        if isinstance(slot.value, Draft):
            path = [*above, id(slot.value.node)]
            if is_changed(slot.value):
                yield path
            pending += [(child, path) for child in children(slot.value)]
