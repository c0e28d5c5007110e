"""A YAML stream that JSON Patch operations change as a careful person would: only the lines that have to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

import jsonpatch

from webhook.yaml_text.draft import DocumentDraft, Draft, Slot, children, is_changed, same, write_out_open_block
from webhook.yaml_text.edit import Editor
from webhook.yaml_text.nodes import Document, Node, plain
from webhook.yaml_text.read import InvalidYaml, read_document, split_documents
from webhook.yaml_text.render import Style, style_of

__all__ = ["InvalidYaml", "YamlText"]

_OPERATIONS = ("add", "replace", "remove")


class YamlText:
    """A YAML stream of one or more documents, and the text of it.

    Raises:
        InvalidYaml: Kubernetes would not read the text.

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
        """The documents as Kubernetes would read them; changes to this data change nothing else."""
        return [plain(part.root) for part in self._parts if part.root is not None]

    @property
    def text(self) -> str:
        """The text with all changes."""
        return "".join(part.text for part in self._parts)

    def apply(self, document: int, operations: Sequence[Mapping[str, Any]]) -> None:
        """Apply JSON Patch operations to a document, given by its index, one after the other; all of them or none.

        Raises:
            ValueError: an operation is none of add, replace and remove, or its value is no JSON.
            jsonpatch.JsonPatchException: an operation cannot be applied.
            jsonpatch.JsonPointerException: a path is no JSON Pointer, or leads nowhere.

        """
        for operation in operations:
            if operation["op"] not in _OPERATIONS or (operation["op"], operation["path"]) == ("remove", ""):
                raise ValueError(f"{operation['op']} {operation['path']!r} cannot be applied to YAML text")
            if not _is_json(operation.get("value")):
                raise ValueError(f"the value for {operation['path']!r} is not JSON")
        roots = [(index, part.root) for index, part in enumerate(self._parts) if part.root is not None]
        index, root = roots[document]
        self._parts[index] = _edited(self._parts[index], root, operations)


def _edited(document: Document, root: Node, operations: Sequence[Mapping[str, Any]]) -> Document:
    wanted = jsonpatch.apply_patch(plain(root), deepcopy(list(operations)), in_place=True)
    draft = DocumentDraft(root)
    for operation in operations:
        draft.apply(operation)
    draft.settle()
    for style, rewritten in _attempts(draft.root, document):
        text = Editor(document, style, rewritten).write(root, draft.root)
        if (edited := _read_back(document.text, text, wanted)) is not None:
            return edited
    raise ValueError("the new values cannot be written as YAML")


def _is_json(value: Any) -> bool:
    try:
        return same(json.loads(json.dumps(value)), value)
    except TypeError:
        return False


def _read_back(before: str, text: str, wanted: Any) -> Document | None:
    """Return the edited text as a document, if it says what was meant."""
    candidates = [text]
    if not _ends_with_line(before) and text.endswith("\n"):
        # A text without a line end at its end stays one, unless it is part of a value.
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
    """Yield how to write, and the collections to rewrite: none, then ever larger ones around the changes.

    Text that is edited can mean something else where it is written in a way that was not thought of here.
    """
    style = style_of(document)
    yield style, frozenset()
    # A block that keeps the blank lines at its end takes those for its own that stand behind it in the text, and one
    # that was the end of a text without a line end there gets one.
    style = replace(style, keeps_blank_lines=False)
    if not _ends_with_line(document.text):
        write_out_open_block(root, len(document.text))
    yield style, frozenset()
    # Comments and blanks behind a block can be taken for its content as well, if they are indented like it.
    style = replace(style, blocks=False)
    yield style, frozenset()
    paths = list(_changed_paths(root))
    for level in range(1, max(map(len, paths), default=0) + 1):
        yield style, frozenset(path[max(0, len(path) - level)] for path in paths)


def _changed_paths(root: Slot) -> Iterator[list[int]]:
    """Yield the collections that have changed, each with all that are around it."""
    pending: list[tuple[Slot, list[int]]] = [(root, [])]
    while pending:
        slot, above = pending.pop()
        if isinstance(slot.value, Draft):
            path = [*above, id(slot.value.node)]
            if is_changed(slot.value):
                yield path
            pending += [(child, path) for child in children(slot.value)]
