"""A pod's own registry credentials: its imagePullSecrets, or those of its ServiceAccount."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from webhook.images.credentials import Credential, Keyring, read_config, read_old_config

if TYPE_CHECKING:
    from lightkube import AsyncClient

DEFAULT_ACCOUNT = "default"
SECONDS = 10.0
"""How long Secrets are cached: a Deployment creates its pods all at once."""
_MOST = 1024
# https://kubernetes.io/docs/concepts/configuration/secret/#docker-config-secrets
_KINDS: Mapping[str, tuple[str, Callable[[bytes], list[tuple[str, Credential]]]]] = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson", read_config),
    "kubernetes.io/dockercfg": (".dockercfg", read_old_config),
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
        self._clock = clock
        self._readings: OrderedDict[_Key, tuple[float, asyncio.Task[Keyring]]] = OrderedDict()

    async def keyring(self, namespace: str, service_account: str, names: Sequence[str]) -> Keyring:
        """Return the credentials of a pod, by the names of its imagePullSecrets; they are cached for similar pods.

        A pod without any gets those of its ServiceAccount on creation.
        https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/#add-imagepullsecrets-to-a-service-account
        """
        key = (namespace, service_account or DEFAULT_ACCOUNT, tuple(names))
        if self._client is None:
            return Keyring()
        until, reading = self._readings.get(key, (0.0, None))
        if reading is None or self._clock() >= until:
            reading = asyncio.create_task(_read(self._client, *key))
            self._readings[key] = self._clock() + SECONDS, reading
            self._readings.move_to_end(key)
            if len(self._readings) > _MOST:
                self._readings.popitem(last=False)
        # Other requests may wait for it, too.
        return await asyncio.shield(reading)

    async def aclose(self) -> None:
        """Cancel pending requests, and close the connections to the API server."""
        readings = [reading for _, reading in self._readings.values()]
        for reading in readings:
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)
        if self._client is not None:
            await self._client.close()


def _client() -> AsyncClient | None:
    """Return a client for the cluster; None outside of a cluster."""
    from lightkube import AsyncClient, ConfigError  # noqa: PLC0415 - the command line needs none of it

    try:
        return AsyncClient()
    except ConfigError:
        return None


async def _read(client: AsyncClient, namespace: str, service_account: str, names: Sequence[str]) -> Keyring:
    names = names or await _names_of(client, namespace, service_account)
    return Keyring([entry for name in names for entry in await _entries(client, namespace, name)])


async def _names_of(client: AsyncClient, namespace: str, service_account: str) -> list[str]:
    from lightkube.resources.core_v1 import ServiceAccount  # noqa: PLC0415

    account = await _get(client, ServiceAccount, namespace, service_account)
    references = (account and account.imagePullSecrets) or ()
    return [reference.name for reference in references if reference.name]


async def _entries(client: AsyncClient, namespace: str, name: str) -> list[tuple[str, Credential]]:
    from lightkube.resources.core_v1 import Secret  # noqa: PLC0415

    secret = await _get(client, Secret, namespace, name)
    key, read = _KINDS.get((secret and secret.type) or "", ("", read_config))
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
