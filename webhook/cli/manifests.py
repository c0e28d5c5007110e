"""Manifests: the documents in a file, and the pods and pod templates in them."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonpatch

from webhook.core.formatting import escape_unprintable
from webhook.core.patch.json_patch import Operation, escape
from webhook.core.pod import JsonObject
from webhook.yaml_patch import InvalidYaml, YamlStream

STANDARD_INPUT = "-"
LOOKED_FOR = (
    "a Pod, a List, or a pod template in spec.template, spec.jobTemplate, spec.jobTargetRef.template or template"
)
# Where a pod template is, in order of preference: CronJob, KEDA's ScaledJob, all workloads (and custom ones like them),
# PodTemplate.
_TEMPLATE_PATHS = (
    ("spec", "jobTemplate", "spec", "template"),
    ("spec", "jobTargetRef", "template"),
    ("spec", "template"),
    ("template",),
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_JOB_TEMPLATES = _TEMPLATE_PATHS[:2]


class Unreadable(ValueError):
    """A file cannot be read; the message names the file, the place and the reason."""


class _NotFinite(ValueError):
    """A number is infinite or none, which JSON cannot carry: it would be written as something else."""


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise _NotFinite(f"{text} is not a number that JSON can carry")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> JsonObject:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a key occurs twice")  # YAML's error says which one, and where.
    return fields


class JsonText:
    """A text of one JSON document that keeps its indentation."""

    def __init__(self, text: str) -> None:
        self.documents: list[Any] = [
            json.loads(text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite)
        ]
        self._original = text
        self._changed = False

    def apply(self, document: int, operations: Sequence[Operation]) -> None:
        """Apply operations to the document."""
        self.documents[document] = jsonpatch.apply_patch(self.documents[document], list(operations))
        self._changed = self._changed or bool(operations)

    @property
    def text(self) -> str:
        """The text; the original if nothing has changed."""
        if not self._changed:
            return self._original
        second = self._original.lstrip().partition("\n")[2]
        indent = second[: len(second) - len(second.lstrip(" \t"))] or None
        text = json.dumps(self.documents[0], indent=indent, ensure_ascii=False) + "\n"
        # Half of a surrogate pair can only be written as an escape.
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


Text = JsonText | YamlStream
"""A text of one or more documents, editable with JSON Patch operations."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """An object that contains no pod and no pod template."""

    document: int
    kind: str
    name: str

    @property
    def title(self) -> str:
        """The place, for messages."""
        return _title(self.document, self.kind, self.name)


@dataclass(frozen=True, slots=True)
class Template:
    """A pod or pod template, with its document, JSON Pointer and object."""

    document: int
    pointer: str
    pod: JsonObject
    kind: str
    name: str
    runs_to_completion: bool = False
    """Whether the owner's pods run to completion."""

    @property
    def title(self) -> str:
        """The place, for messages."""
        return _title(self.document, self.kind, self.name)

    @property
    def as_made(self) -> JsonObject:
        """The pod as its owner creates it, as far as decisions depend on it.

        KEDA sets a restart policy if a ScaledJob has none; the API server rejects a Job without one.
        https://github.com/kedacore/keda/blob/v2.17.0/pkg/scaling/executor/scale_jobs.go
        """
        spec = self.pod.get("spec")
        if not self.runs_to_completion or not isinstance(spec, dict) or spec.get("restartPolicy"):
            return self.pod
        return {**self.pod, "spec": {**spec, "restartPolicy": "OnFailure"}}

    def absolute(self, operations: Sequence[Operation]) -> list[Operation]:
        """Turn operations on the template into operations on its document."""
        return [
            {**operation, **{key: self.pointer + operation[key] for key in ("path", "from") if key in operation}}
            for operation in operations
        ]


@dataclass(frozen=True, slots=True)
class Manifest:
    """A file, its text and its templates."""

    path: str
    text: Text

    @property
    def templates(self) -> Iterator[Template]:
        """All pods and pod templates, in order."""
        return (found for found in self._found if isinstance(found, Template))

    @property
    def unknown(self) -> Iterator[Unknown]:
        """All objects that contain neither, in order."""
        return (found for found in self._found if isinstance(found, Unknown))

    @property
    def _found(self) -> Iterator[Template | Unknown]:
        for index, document in enumerate(self.text.documents):
            yield from _search(document, index, "")


def read_manifest(path: str) -> Manifest:
    """Read a manifest from a file, or from standard input if the path is `-`.

    Raises:
        Unreadable: there is no such file, or it is neither YAML nor JSON.

    """
    if path == STANDARD_INPUT and sys.stdin is None:
        raise Unreadable(f"{path}: standard input is closed")
    try:
        # As bytes, to preserve line endings.
        content = sys.stdin.buffer.read() if path == STANDARD_INPUT else Path(path).read_bytes()
        text = content.decode()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Unreadable(f"{path}: not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from None
    return Manifest(path, _parse(path, text))


def _parse(path: str, text: str) -> Text:
    if text.lstrip()[:1] in ("{", "["):
        try:
            return JsonText(text)
        except _NotFinite as error:
            raise Unreadable(f"{path}: {error}") from None
        except (ValueError, RecursionError):
            pass  # It may be YAML in flow style, whose errors are more helpful.
    try:
        return YamlStream(text)
    except InvalidYaml as error:
        if "{{" in text and "}}" in text:
            raise Unreadable(f"{path}: this is a Helm template; render it first: helm template … ({error})") from None
        raise Unreadable(f"{path}: {error}") from None


def _title(document: int, kind: str, name: str) -> str:
    return escape_unprintable(f"document {document + 1}, {kind}{name and f' {name}'}")


def _search(document: Any, index: int, pointer: str) -> Iterator[Template | Unknown]:
    if not isinstance(document, dict):
        if document is not None:
            yield Unknown(index, "not an object", "")
        return
    kind = str(document.get("kind") or "object")
    items = document.get("items")
    if kind.endswith("List") and isinstance(items, list):
        for position, item in enumerate(items):
            yield from _search(item, index, f"{pointer}/items/{position}")
        return
    name = str(_at(document, ("metadata", "name")) or _at(document, ("metadata", "generateName")) or "")
    if kind == "Pod":
        yield Template(index, pointer, document, kind, name)
        return
    for path in _TEMPLATE_PATHS:
        spec = _at(document, (*path, "spec"))
        if isinstance(spec, dict) and "containers" in spec:
            at = pointer + "".join(f"/{escape(key)}" for key in path)
            yield Template(index, at, _at(document, path), kind, name, kind == "Job" or path in _JOB_TEMPLATES)
            return
    yield Unknown(index, kind, name)


def _at(document: Any, path: Sequence[str]) -> Any:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document
