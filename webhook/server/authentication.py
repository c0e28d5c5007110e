"""Authenticates the API server among the callers.

A decision on a pod only depends on the pod, so any caller may get one. Image lookups with the pod's credentials are
different: only the API server has verified that the pod's author may act in its namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from certs.review_path import PUBLIC_PATH, is_secret_path

PUBLIC_PATHS = frozenset({PUBLIC_PATH, "/"})
"""Public paths. The second one is the API server's default if a configuration sets none."""
CLIENT_CERTIFICATE = "graceful_worker.client"
"""The server extension that holds the client certificate, in the format of `ssl.SSLSocket.getpeercert`."""


def is_review_path(path: str) -> bool:
    """Tell whether reviews are accepted at a path; an outdated secret path counts as a public one.

    After a rotation, an API server briefly uses the old path, and pods must not be refused meanwhile.
    """
    return path in PUBLIC_PATHS or is_secret_path(path)


class Authenticator:
    """Authenticates the API server by a path that only readers of the configuration know, or a client certificate."""

    def __init__(self, paths: Callable[[], frozenset[str]] = frozenset, names: frozenset[str] = frozenset()) -> None:
        """Take the currently valid paths, and the common names of API servers; without names, any is accepted."""
        self._paths = paths
        self._names = names

    def is_api_server(self, scope: Mapping[str, Any]) -> bool:
        """Tell whether a request is authenticated as coming from the API server."""
        if scope["path"] in self._paths():
            return True
        certificate = scope.get("extensions", {}).get(CLIENT_CERTIFICATE)
        if not certificate:
            return False
        return not self._names or bool(self._names & _common_names(certificate))


class TrustAnyClient(Authenticator):
    """Treats every caller as the API server: the operator's choice if callers cannot authenticate."""

    def is_api_server(self, scope: Mapping[str, Any]) -> bool:
        """Return True."""
        return True


def _common_names(certificate: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(value for part in certificate["subject"] for name, value in part if name == "commonName")
