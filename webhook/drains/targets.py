"""Selects drains by owner, node or pod, in kubectl's notation."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from webhook.core.ownership import Owner

_SHORT_NAMES = {
    "deploy": "deployment",
    "ds": "daemonset",
    "no": "node",
    "po": "pod",
    "rs": "replicaset",
    "sts": "statefulset",
}
# https://kubernetes.io/docs/reference/kubectl/#resource-types


class Target(msgspec.Struct, frozen=True):
    """An owner, a node or a pod; its kind is lower case."""

    kind: str
    name: str

    def __str__(self) -> str:
        """Format it in kubectl's notation."""
        return f"{self.kind}/{self.name}"


def read_target(text: str) -> Target:
    """Parse a target such as deployment/emails, deploy/emails or node/node-1.

    Raises:
        ValueError: it is not valid.

    """
    kind, slash, name = text.partition("/")
    kind = kind.lower().partition(".")[0]
    if not (kind and slash and name) or "/" in name:
        raise ValueError(f"{text!r} is not an object; use a value such as deployment/emails, job/import or node/node-1")
    singular = kind.removesuffix("s") if len(kind) > 3 else kind
    return Target(_SHORT_NAMES.get(kind, singular), name)


def kubectl_name(owner: Owner) -> str:
    """Format an owner as a target."""
    return str(Target(owner.kind.lower(), owner.name))


def is_selected(targets: Collection[Target], *, owner: Owner, pod: str, node: str) -> bool:
    """Tell whether a pod is selected by the targets; without targets, all are."""
    if not targets:
        return True
    own = {Target(owner.kind.lower(), owner.name), Target("pod", pod), Target("node", node)}
    return not own.isdisjoint(targets)
