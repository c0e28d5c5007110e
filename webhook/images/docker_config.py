"""Registry credentials in Docker's formats: Secrets, files, and what `docker login` and `podman login` store."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from math import inf
from pathlib import Path
from typing import TypeVar

import msgspec

from webhook.core.recognize.image_names import DOCKER_HUB
from webhook.images.credentials import Credential, Keyring
from webhook.images.reference import Reference
from webhook.images.task_cache import TaskCache

HELPER_SECONDS = 10.0
_MAX_HELPER_CALLS = 1024
_HUB_SERVER = "https://index.docker.io/v1/"
_HELPER_NAME = re.compile(r"[A-Za-z0-9._-]+")
_TOKEN_USER = "<token>"  # noqa: S105 - by this name, a helper says that the secret is a token
_Decoded = TypeVar("_Decoded")


class _AuthEntry(msgspec.Struct):
    auth: str | None = None
    username: str | None = None
    password: str | None = None
    identity_token: str | None = msgspec.field(default=None, name="identitytoken")
    registry_token: str | None = msgspec.field(default=None, name="registrytoken")


def _parse_auths(auths: Mapping[str, object]) -> list[tuple[str, Credential]]:
    """Read the entries of a Docker configuration; malformed ones are skipped."""
    return [(server, credential) for server, raw in auths.items() if (credential := _parse_entry(raw))]


def _parse_entry(raw: object) -> Credential | None:
    try:
        entry = msgspec.convert(raw, _AuthEntry)
        username, password = _parse_auth(entry.auth) if entry.auth else (entry.username or "", entry.password or "")
    except (msgspec.ValidationError, ValueError):
        return None
    credential = Credential(username, password, entry.identity_token or "", entry.registry_token or "")
    return None if credential == Credential() else credential


def _parse_auth(text: str) -> tuple[str, str]:
    """Decode `name:password` from base64, with or without padding.

    Raises:
        ValueError: it is not valid.

    """
    text = text.strip()
    decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    username, password = decoded.split(":", 1)
    return username, password.rstrip("\0")


class _AuthsOnly(msgspec.Struct):
    auths: dict[str, object] | None = None


def parse_docker_config(body: bytes) -> list[tuple[str, Credential]]:
    """Read a Docker configuration, the content of `~/.docker/config.json`; empty if it is not valid."""
    return _parse_auths(_decode(body, _AuthsOnly).auths or {})


def parse_dockercfg(body: bytes) -> list[tuple[str, Credential]]:
    """Read an old Docker configuration, the content of `~/.dockercfg`; empty if it is not valid."""
    return _parse_auths(_decode(body, dict[str, object]))


def _decode(body: bytes, to: type[_Decoded]) -> _Decoded:
    try:
        return msgspec.json.decode(body, type=to)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return to()


class CredentialsFile(Keyring):
    """The keyring in a file, reloaded when the file changes: passwords for cloud registries are short-lived."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._version: tuple[int, ...] = ()
        self._keyring = Keyring()

    async def find(self, reference: Reference) -> Sequence[Credential]:
        """Return the credentials to try, in order; none if the file is missing or malformed."""
        try:
            status = self._file.stat()
            version = (status.st_mtime_ns, status.st_ino, status.st_size)
            if version != self._version:
                self._keyring = Keyring(parse_docker_config(self._file.read_bytes()))
                self._version = version
        except OSError:
            return []
        return await self._keyring.find(reference)


class _UserConfig(msgspec.Struct, rename="camel"):
    auths: dict[str, object] | None = None
    creds_store: str | None = None
    cred_helpers: dict[str, str] | None = None


class _HelperOutput(msgspec.Struct, rename="pascal"):
    username: str = ""
    secret: str = ""


class UserKeyring(Keyring):
    """Finds the user's credentials: first from credential helpers, then from the files."""

    def __init__(self, configs: Sequence[_UserConfig]) -> None:
        super().__init__(entry for config in configs for entry in _parse_auths(config.auths or {}))
        self._configs = configs
        self._helper_calls: TaskCache[tuple[str, str], Credential | None] = TaskCache(inf, _MAX_HELPER_CALLS)

    async def find(self, reference: Reference) -> Sequence[Credential]:
        """Return the credentials to try, in order; a helper is called once per registry."""
        server = _HUB_SERVER if reference.registry == DOCKER_HUB else reference.registry
        stored = [
            await self._helper_calls.get((helper, server), partial(_run_helper, helper, server))
            for config in self._configs
            if (helper := (config.cred_helpers or {}).get(reference.registry) or config.creds_store)
        ]
        found = [*filter(None, stored), *await super().find(reference)]
        return list(dict.fromkeys(found))


def load_user_keyring(environment: Mapping[str, str] = os.environ) -> UserKeyring:
    """Read the user's configuration; a missing or malformed one is empty."""
    return UserKeyring([_load(file) for file in _config_files(environment)])


def _config_files(environment: Mapping[str, str]) -> list[Path]:
    """Return where Docker and Podman store credentials.

    https://docs.docker.com/reference/cli/docker/#environment-variables
    https://github.com/containers/image/blob/v5.36.0/docs/containers-auth.json.5.md
    """
    home = Path(environment.get("HOME") or Path.home())
    docker = Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"
    if environment.get("REGISTRY_AUTH_FILE"):
        return [Path(environment["REGISTRY_AUTH_FILE"]), docker]
    run = environment.get("XDG_RUNTIME_DIR")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    return [docker, *([Path(run) / "containers" / "auth.json"] if run else []), config / "containers" / "auth.json"]


def _load(file: Path) -> _UserConfig:
    try:
        return _decode(file.read_bytes(), _UserConfig)
    except OSError:
        return _UserConfig()


async def _run_helper(helper: str, server: str) -> Credential | None:
    """Return a helper's credentials; None if it has none, is missing, or takes too long.

    https://github.com/docker/docker-credential-helpers#development
    """
    if not _HELPER_NAME.fullmatch(helper):
        return None
    try:
        process = await asyncio.create_subprocess_exec(
            f"docker-credential-{helper}",
            "get",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return None
    try:
        async with asyncio.timeout(HELPER_SECONDS):
            output, _ = await process.communicate(server.encode())
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return _parse_helper_output(output) if process.returncode == 0 else None


def _parse_helper_output(output: bytes) -> Credential | None:
    credential = _decode(output, _HelperOutput)
    if not credential.secret:
        return None
    if credential.username == _TOKEN_USER:
        return Credential(identity_token=credential.secret)
    return Credential(credential.username, credential.secret)
