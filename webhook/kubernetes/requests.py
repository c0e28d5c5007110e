"""A request to the API server: path, selectors, and the permission that it needs."""

from __future__ import annotations

import msgspec

from webhook.core.annotations import INJECTED_LABEL

NON_TERMINAL_PHASES = "status.phase!=Succeeded,status.phase!=Failed"
"""Pods that have run to completion no longer need protection."""
INJECTED = f"{INJECTED_LABEL}=true"


class ApiRequest(msgspec.Struct, frozen=True):
    """A request for an object by name, or for a list in one or all namespaces."""

    resource: str
    group: str = ""
    namespace: str = ""
    name: str = ""
    labels: str = ""
    fields: str = ""
    metadata_only: bool = False
    subresource: str = ""

    @property
    def path(self) -> str:
        """The path of the request."""
        parts = ["apis", self.group, "v1"] if self.group else ["api", "v1"]
        if self.namespace:
            parts += ["namespaces", self.namespace]
        return "/".join([*parts, self.resource, *filter(None, [self.name, self.subresource])])

    @property
    def permission(self) -> str:
        """The permission that it needs, in words."""
        if self.subresource:
            return f"get {self.resource}/{self.subresource.partition('/')[0]}"
        where = f" in namespace {self.namespace}" if self.namespace else ""
        if self.resource in ("pods", "deployments") and not self.namespace:
            where = " in all namespaces"
        kind = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"get {kind} {self.name}{where}" if self.name else f"list {kind}{where}"
