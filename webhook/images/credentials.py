"""Registry credentials, and which of them apply to an image, by the kubelet's rules."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from webhook.core.recognize.image_names import DOCKER_HUB
from webhook.images.reference import Reference

_HUB_KEY = "index.docker.io"
_SCHEME = re.compile(r"https?://")
_API = re.compile(r"/v[12](?=/)")


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
        for place, credential in entries:
            self._entries.setdefault(_key(place), []).append(credential)

    async def find(self, reference: Reference) -> Sequence[Credential]:
        """Return the credentials to try in order: those for the longest path first."""
        found = [
            credential
            for key in sorted(self._entries, reverse=True)
            if _covers(key, reference.name)
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


def _key(place: str) -> str:
    """Normalise a host and path: remove the scheme, the path of the registry API, and trailing slashes."""
    host, slash, path = _SCHEME.sub("", place, count=1).partition("/")
    path = _API.sub("", slash + path, count=1)
    return host if path in ("", "/") else host + path


def _covers(key: str, name: str) -> bool:
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


class _Entry(msgspec.Struct):
    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identity_token: str | None = msgspec.field(default=None, name="identitytoken")
    registry_token: str | None = msgspec.field(default=None, name="registrytoken")


def read_auths(auths: Mapping[str, object]) -> list[tuple[str, Credential]]:
    """Read the entries of a Docker configuration; malformed ones are skipped."""
    return [(place, credential) for place, raw in auths.items() if (credential := _read_entry(raw))]


def _read_entry(raw: object) -> Credential | None:
    try:
        entry = msgspec.convert(raw, _Entry)
        username, password = _read_auth(entry.auth) if entry.auth else (entry.username or "", entry.password or "")
    except (msgspec.ValidationError, ValueError):
        return None
    credential = Credential(username, password, entry.identity_token or "", entry.registry_token or "")
    return None if credential == Credential() else credential


def _read_auth(text: str) -> tuple[str, str]:
    """Decode `name:password` from base64, with or without padding.

    Raises:
        ValueError: it is not valid.

    """
    text = text.strip()
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("not base64") from None
    username, colon, password = decoded.partition(":")
    if not colon:
        raise ValueError("no colon")
    return username, password.rstrip("\0")


class _Config(msgspec.Struct):
    auths: dict[str, object] | None = None


def read_config(body: bytes) -> list[tuple[str, Credential]]:
    """Read a Docker configuration, the content of `~/.docker/config.json`; empty if it is not valid."""
    try:
        return read_auths(msgspec.json.decode(body, type=_Config).auths or {})
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


def read_old_config(body: bytes) -> list[tuple[str, Credential]]:
    """Read an old Docker configuration, the content of `~/.dockercfg`; empty if it is not valid."""
    try:
        return read_auths(msgspec.json.decode(body, type=dict[str, object]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []


class CredentialsFile(Keyring):
    """The keyring in a file, reloaded when the file changes: passwords for cloud registries are short-lived."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._state: tuple[int, ...] = ()
        self._keyring = Keyring()

    async def find(self, reference: Reference) -> Sequence[Credential]:
        """Return the credentials to try, in order; none if the file is missing or malformed."""
        try:
            status = self._file.stat()
            state = (status.st_mtime_ns, status.st_ino, status.st_size)
            if state != self._state:
                self._keyring = Keyring(read_config(self._file.read_bytes()))
                self._state = state
        except OSError:
            return []
        return await self._keyring.find(reference)
