"""Registry credentials, and which of them apply to an image, by the kubelet's rules."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from webhook.core.recognize.image_names import DOCKER_HUB
from webhook.images.reference import Reference

_HUB_KEY = "index.docker.io"
_SCHEME = re.compile(r"https?://")
_API_PATH = re.compile(r"/v[12](?=/)")


@dataclass(frozen=True, slots=True)
class Credential:
    """A registry credential: user name and password, or a token."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    """Exchanged for a registry token."""
    registry_token: str = field(default="", repr=False)
    """Used as the registry token."""

    @property
    def basic(self) -> str:
        """User name and password as sent in a header."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class Keyring:
    """Finds the credentials for an image.

    https://github.com/kubernetes/kubernetes/blob/v1.34.0/pkg/credentialprovider/keyring.go
    """

    def __init__(self, entries: Iterable[tuple[str, Credential]] = ()) -> None:
        self._entries: dict[str, list[Credential]] = {}
        for server, credential in entries:
            self._entries.setdefault(_key(server), []).append(credential)

    async def find(self, reference: Reference) -> Sequence[Credential]:
        """Return the credentials to try in order: those for the longest path first."""
        found = [
            credential
            for key in sorted(self._entries, reverse=True)
            if _matches(key, reference.name)
            for credential in self._entries[key]
        ]
        if not found and reference.registry == DOCKER_HUB:
            found = self._entries.get(_HUB_KEY, [])
        return list(dict.fromkeys(found))


class UnionKeyring(Keyring):
    """Several keyrings, tried in order."""

    def __init__(self, keyrings: Sequence[Keyring]) -> None:
        super().__init__()
        self._keyrings = keyrings

    async def find(self, reference: Reference) -> Sequence[Credential]:
        """Return the credentials to try, in order."""
        found = [credential for keyring in self._keyrings for credential in await keyring.find(reference)]
        return list(dict.fromkeys(found))


def _key(server: str) -> str:
    """Normalise a host and path: remove the scheme, the path of the registry API, and trailing slashes."""
    host, slash, path = _SCHEME.sub("", server, count=1).partition("/")
    path = _API_PATH.sub("", slash + path, count=1)
    return host if path in ("", "/") else host + path


def _matches(key: str, name: str) -> bool:
    """Tell whether a key matches an image: label by label, because `*` does not match dots, and port by port."""
    key_host, key_slash, key_path = key.partition("/")
    host, slash, path = name.partition("/")
    key_labels, key_port = _split_host(key_host)
    labels, port = _split_host(host)
    if key_port != port or len(key_labels) != len(labels):
        return False
    if not (slash + path).startswith(key_slash + key_path):
        return False
    return all(
        label == pattern or fnmatchcase(label, pattern) for label, pattern in zip(labels, key_labels, strict=True)
    )


def _split_host(host: str) -> tuple[list[str], str]:
    match = re.fullmatch(r"(.*):(\d*)", host)
    return (match[1].split("."), match[2]) if match else (host.split("."), "")
