"""The way back: an injected pod becomes what it was, by the record in its status annotation."""

from __future__ import annotations

from typing import Any

from webhook.core.annotations import INJECTED_LABEL, STATUS_ANNOTATION
from webhook.core.patch import find_item, item_key
from webhook.core.pod import JsonObject, read_pod
from webhook.core.status import read_status


def restore(raw: JsonObject) -> bool:
    """Undo an injection in place; False where the pod, or pod template, bears no record of one.

    What was changed since then in other fields stays. What the record speaks of and is no longer there is left out.

    Raises:
        Malformed: this is no pod.
        Refused: the record is not what graceful-worker writes.

    """
    status = read_status(read_pod(raw).annotations)
    if status is None:
        return False
    raw["metadata"]["annotations"].pop(STATUS_ANNOTATION)
    for named in status.added:
        _remove(raw, _path(named))
    for named, value in status.before.items():
        path = _path(named)
        parent = _find(raw, path[:-1])
        if isinstance(parent, dict):
            parent[path[-1]] = value
    for named, was in sorted(status.created.items(), key=lambda item: -item[0].count("/")):
        _remove_empty(raw, _path(named), was)
    return True


def bears_mark(raw: JsonObject) -> bool:
    """Tell whether the label says that this pod is injected."""
    return bool(read_pod(raw).labels.get(INJECTED_LABEL))


def _path(named: str) -> tuple[str, ...]:
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in named.split("/")[1:])


def _find(node: Any, path: tuple[str, ...]) -> Any:
    for depth, token in enumerate(path):
        if isinstance(node, dict):
            node = node.get(token)
        elif isinstance(node, list):
            index = find_item(node, item_key(path[:depth]), token)
            node = None if index is None else node[index]
        else:
            return None
    return node


def _remove(raw: JsonObject, path: tuple[str, ...]) -> None:
    parent = _find(raw, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)
    elif isinstance(parent, list):
        index = find_item(parent, item_key(path[:-1]), path[-1])
        if index is not None:
            del parent[index]


def _remove_empty(raw: JsonObject, path: tuple[str, ...], was: str) -> None:
    """Remove an object that was made for what has just been removed, unless something else has come into it."""
    parent = _find(raw, path[:-1])
    if not isinstance(parent, dict) or not _hollow(parent.get(path[-1])):
        return
    if was == "null":
        parent[path[-1]] = None
    else:
        parent.pop(path[-1], None)


def _hollow(value: Any) -> bool:
    """Tell whether nothing but empty objects is left."""
    return all(map(_hollow, value.values())) if isinstance(value, dict) else not value
