"""Who calls: the API server, which proves it, or anybody else who reaches the port.

What is decided about a pod stands in the pod, so anybody may ask for that. Whom a registry is asked for, and with whose
credentials, is another matter: only the API server has seen to it that the pod's author may act in its namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from certs.capability import OPEN_PATH, is_capability_path

OPEN_PATHS = frozenset({OPEN_PATH, "/"})
"""Paths that anybody knows. The second one is the API server's default, where a configuration names none."""
CLIENT = "graceful_worker.client"
"""The extension of a server that says which certificate the client has shown, as `ssl.SSLSocket.getpeercert`."""


def is_review_path(path: str) -> bool:
    """Tell whether reviews are answered at a path: one that is not known any more is as good as an open one.

    An API server calls an old one for a moment after a rotation, and pods are not to be refused meanwhile.
    """
    return path in OPEN_PATHS or is_capability_path(path)


class Callers:
    """Tells the API server from others: by a path that only readers of the configuration know, or by a certificate."""

    def __init__(self, paths: Callable[[], frozenset[str]] = frozenset, names: frozenset[str] = frozenset()) -> None:
        """Take the paths that are valid at a time, and the common names of the API servers; no names: any."""
        self._paths = paths
        self._names = names

    def is_api_server(self, scope: Mapping[str, Any]) -> bool:
        """Tell whether a request has shown that the API server sends it."""
        if scope["path"] in self._paths():
            return True
        certificate = scope.get("extensions", {}).get(CLIENT)
        if not certificate:
            return False
        return not self._names or bool(self._names & _common_names(certificate))


class Anybody(Callers):
    """Takes everybody for the API server: the operator's choice, where nobody can prove it."""

    def is_api_server(self, scope: Mapping[str, Any]) -> bool:
        """Tell that it is so."""
        return True


def _common_names(certificate: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(value for part in certificate["subject"] for name, value in part if name == "commonName")
