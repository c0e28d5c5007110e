"""A pod's own registry credentials: its imagePullSecrets, or those of its ServiceAccount."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from webhook.images.credentials import Credential, Keyring
from webhook.images.docker_config import parse_docker_config, parse_dockercfg
from webhook.images.task_cache import TaskCache

if TYPE_CHECKING:
    from lightkube import AsyncClient
    from lightkube.resources.core_v1 import Secret

DEFAULT_ACCOUNT = "default"
CACHE_SECONDS = 10.0
"""How long Secrets are cached: a Deployment creates its pods all at once."""
_MAX_ENTRIES = 1024
_MAX_SECRETS = 32
"""How many Secrets are read for a pod: each is a request to the API server."""
# https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets
_SECRET_TYPES: Mapping[str, tuple[str, Callable[[bytes], list[tuple[str, Credential]]]]] = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson", parse_docker_config),
    "kubernetes.io/dockercfg": (".dockercfg", parse_dockercfg),
}
# Pods are mutated before they are validated: `../..` would lead to Secrets of other namespaces.
_NAME = re.compile(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?")
_Key = tuple[str, str, tuple[str, ...]]


class PullSecrets(Protocol):
    """Returns the credentials of pods."""

    async def keyring(self, namespace: str, service_account: str, names: Sequence[str]) -> Keyring:
        """Return the credentials of a pod, by the names of its imagePullSecrets."""

    async def aclose(self) -> None:
        """Cancel pending requests."""


class ClusterPullSecrets:
    """Reads Secrets in the cluster. Missing, forbidden and malformed ones are skipped, as by the kubelet."""

    def __init__(self, client: AsyncClient | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client or _client()
        self._keyrings: TaskCache[_Key, Keyring] = TaskCache(CACHE_SECONDS, _MAX_ENTRIES, clock)

    async def keyring(self, namespace: str, service_account: str, names: Sequence[str]) -> Keyring:
        """Return the credentials of a pod, by the names of its imagePullSecrets; they are cached for similar pods.

        A pod without any gets those of its ServiceAccount on creation.
        https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#add-imagepullsecrets-to-a-service-account
        """
        valid = dict.fromkeys(name for name in names if _NAME.fullmatch(name))
        account = "" if names else service_account or DEFAULT_ACCOUNT
        if self._client is None or not (valid or _NAME.fullmatch(account)):
            return Keyring()
        key = (namespace, account, tuple(valid)[:_MAX_SECRETS])
        return await self._keyrings.get(key, partial(_read_keyring, self._client, *key))

    async def aclose(self) -> None:
        """Cancel pending requests, and close the connections to the API server."""
        await self._keyrings.aclose()
        if self._client is not None:
            await self._client.close()


def _client() -> AsyncClient | None:
    """Return a client for the cluster; None outside of a cluster."""
    from lightkube import AsyncClient, ConfigError  # noqa: PLC0415 - the command line needs none of it

    try:
        return AsyncClient()
    except ConfigError:
        return None


async def _read_keyring(client: AsyncClient, namespace: str, service_account: str, names: Sequence[str]) -> Keyring:
    from lightkube.resources.core_v1 import Secret, ServiceAccount  # noqa: PLC0415

    if not names:
        account = await _get(client, ServiceAccount, namespace, service_account)
        references = (account and account.imagePullSecrets) or ()
        names = [reference.name for reference in references if reference.name]
    return Keyring([entry for name in names for entry in _entries(await _get(client, Secret, namespace, name))])


def _entries(secret: Secret | None) -> list[tuple[str, Credential]]:
    key, read = _SECRET_TYPES.get((secret and secret.type) or "", ("", parse_docker_config))
    text = ((secret and secret.data) or {}).get(key)
    try:
        return read(base64.b64decode(text)) if text else []
    except ValueError:
        return []


async def _get(client: AsyncClient, resource: Any, namespace: str, name: str) -> Any:
    if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
        return None
    try:
        return await client.get(resource, name, namespace=namespace)
    except Exception:
        # Any error: the client raises unexpected ones for invalid responses.
        return None
