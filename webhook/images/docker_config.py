"""The user's own registry credentials, as stored by `docker login` and `podman login`, for the command line."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from webhook.core.recognize.image_names import DOCKER_HUB
from webhook.images.credentials import Credential, Keyring, read_auths
from webhook.images.reference import Reference

HELPER_SECONDS = 10.0
_HUB_SERVER = "https://index.docker.io/v1/"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_TOKEN_USER = "<token>"  # noqa: S105 - by this name, a helper says that the secret is a token


class _Config(msgspec.Struct, rename="camel"):
    auths: dict[str, object] | None = None
    creds_store: str | None = None
    cred_helpers: dict[str, str] | None = None


class _Answer(msgspec.Struct, rename="pascal"):
    username: str = ""
    secret: str = ""


class DockerKeyring(Keyring):
    """Finds the user's credentials: first from credential helpers, then from the files."""

    def __init__(self, configs: Sequence[_Config]) -> None:
        super().__init__(entry for config in configs for entry in read_auths(config.auths or {}))
        self._configs = configs
        self._answers: dict[tuple[str, str], asyncio.Task[Credential | None]] = {}

    async def find(self, reference: Reference) -> Sequence[Credential]:
        """Return the credentials to try, in order; a helper is called once per registry."""
        server = _HUB_SERVER if reference.registry == DOCKER_HUB else reference.registry
        kept = [
            await self._ask(helper, server)
            for config in self._configs
            if (helper := (config.cred_helpers or {}).get(reference.registry) or config.creds_store)
        ]
        found = [*filter(None, kept), *await super().find(reference)]
        return list(dict.fromkeys(found))

    async def _ask(self, helper: str, server: str) -> Credential | None:
        key = (helper, server)
        if key not in self._answers:
            self._answers[key] = asyncio.create_task(_ask(helper, server))
        # Other pods may wait for it, too.
        return await asyncio.shield(self._answers[key])


def read_docker_config(environment: Mapping[str, str] = os.environ) -> DockerKeyring:
    """Read the user's configuration; a missing or malformed one is empty."""
    return DockerKeyring([_read(file) for file in _files(environment)])


def _files(environment: Mapping[str, str]) -> list[Path]:
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


def _read(file: Path) -> _Config:
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Config)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Config()


async def _ask(helper: str, server: str) -> Credential | None:
    """Return a helper's credentials; None if it has none, is missing, or takes too long.

    https://github.com/docker/docker-credential-helpers#development
    """
    if not _NAME.fullmatch(helper):
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
    return _read_answer(output) if process.returncode == 0 else None


def _read_answer(output: bytes) -> Credential | None:
    try:
        answer = msgspec.json.decode(output, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if not answer.secret:
        return None
    if answer.username == _TOKEN_USER:
        return Credential(identity_token=answer.secret)
    return Credential(answer.username, answer.secret)
