"""The cluster side of the rotation: reads, changes and watches the Secret and the live configuration."""

from __future__ import annotations

import asyncio
import base64
import datetime
from collections.abc import Mapping, Sequence
from typing import TypeVar

import msgspec
from cryptography import x509

from certs.api_server import ApiServer, JsonObject
from certs.ca_secret import ROTATE_ANNOTATION, TYPE, CaSecret, read_data, write_data
from certs.certificate import read_bundle, write_bundle
from certs.errors import ApiServerUnavailable, Conflict, StatusError, Unusable
from certs.review_path import find_review_path, replace_review_path

FIELD_MANAGER = "graceful-worker"
JSON_PATCH = "application/json-patch+json"
SECRET, CONFIGURATION = "Secret", "MutatingWebhookConfiguration"
CONFLICT = 409
NOT_FOUND = 404
UNPROCESSABLE = 422
"""The status of a JSON Patch whose `test` operation failed."""


class Names(msgspec.Struct, frozen=True):
    """The names of the objects to manage."""

    namespace: str
    secret: str
    configuration: str


class WebhookTarget(msgspec.Struct, frozen=True):
    """The target of a webhook entry: a Service, or a URL."""

    path: str | None
    """None if it is not one of ours."""
    url: str = ""

    def put(self, index: int, path: str) -> list[dict[str, str]]:
        """Return the JSON Patch that changes the entry's path."""
        where = f"/webhooks/{index}/clientConfig"
        if self.path is None:
            return []
        if self.url:
            return [{"op": "add", "path": f"{where}/url", "value": replace_review_path(self.url, path)}]
        return [{"op": "add", "path": f"{where}/service/path", "value": path}]


class ConfigurationState(msgspec.Struct, frozen=True):
    """The state of the configuration; without entries if it is not installed."""

    date: datetime.datetime | None
    """The API server's time before the Secret was read; None if unknown."""
    bundles: Sequence[frozenset[x509.Certificate]] = ()
    targets: Sequence[WebhookTarget] = ()
    version: str = ""


class ClusterState(msgspec.Struct, frozen=True):
    """The state of the cluster; versions are the API server's resource versions."""

    configuration: ConfigurationState
    ca_secret: CaSecret | None
    requested: str
    secret: JsonObject | None
    secret_version: str = ""
    """Changes whenever the Secret is written, even with the same content; empty if the Secret is absent."""
    rejection: str = ""
    """Why the Secret is unusable."""


class _Metadata(msgspec.Struct):
    resource_version: str = msgspec.field(name="resourceVersion")
    annotations: dict[str, str] | None = None


class _Secret(msgspec.Struct):
    metadata: _Metadata
    data: dict[str, str] | None = None


class _Service(msgspec.Struct):
    path: str | None = None


class _ClientConfig(msgspec.Struct):
    ca_bundle: str | None = msgspec.field(name="caBundle", default=None)
    service: _Service | None = None
    url: str | None = None


class _Entry(msgspec.Struct):
    client_config: _ClientConfig = msgspec.field(name="clientConfig")


class _Configuration(msgspec.Struct):
    metadata: _Metadata
    webhooks: list[_Entry] | None = None


_Typed = TypeVar("_Typed", _Secret, _Configuration)


class Cluster:
    """Reads and changes the Secret and the configuration."""

    def __init__(self, api_server: ApiServer, names: Names) -> None:
        self._api_server = api_server
        self._names = names
        self._secrets = f"/api/v1/namespaces/{names.namespace}/secrets"
        self._secret = f"{self._secrets}/{names.secret}"
        self._configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        self._configuration = f"{self._configurations}/{names.configuration}"
        self.changed = asyncio.Event()
        """Set when a watch reports a change."""

    async def read(self) -> ClusterState:
        """Read the bundles first, then the Secret: see rule 1 in `certs.rotation`.

        Raises:
            StatusError, ApiServerUnavailable: the API server cannot be reached, or denies access.

        """
        live = await self._read_configuration()
        try:
            answer = await self._api_server.request("GET", self._secret, SECRET)
        except StatusError as refused:
            if refused.status != NOT_FOUND:
                raise
            return ClusterState(live, None, "", None)
        secret = _typed(answer.object, _Secret)
        requested = (secret.metadata.annotations or {}).get(ROTATE_ANNOTATION, "")
        secret_version = secret.metadata.resource_version
        try:
            ca_secret = read_data(_decoded(secret.data or {}))
        except Unusable as unusable:
            return ClusterState(live, None, "", answer.object, secret_version, str(unusable))
        return ClusterState(live, ca_secret, requested, answer.object, secret_version)

    async def _read_configuration(self) -> ConfigurationState:
        try:
            answer = await self._api_server.request("GET", self._configuration, CONFIGURATION)
        except StatusError as refused:
            if refused.status != NOT_FOUND:
                raise
            return ConfigurationState(refused.date)
        configuration = _typed(answer.object, _Configuration)
        clients = [entry.client_config for entry in configuration.webhooks or ()]
        bundles = [_bundle(client.ca_bundle or "") for client in clients]
        version = configuration.metadata.resource_version
        return ConfigurationState(answer.date, bundles, list(map(_target, clients)), version)

    async def write(self, ca_secret: CaSecret, state: ClusterState) -> str:
        """Write the CAs to the Secret if it still has the version that was read; return its new version.

        Raises:
            Conflict: it has another version by now.
            StatusError, ApiServerUnavailable: the API server cannot be reached, or denies access.

        """
        data = {key: base64.b64encode(value).decode() for key, value in write_data(ca_secret).items()}
        try:
            if state.secret is None:
                metadata = {"name": self._names.secret, "namespace": self._names.namespace}
                new = {"apiVersion": "v1", "kind": SECRET, "metadata": metadata, "type": TYPE, "data": data}
                answer = await self._api_server.request("POST", self._secrets, SECRET, new)
            else:
                changed = {**state.secret, "data": data}
                answer = await self._api_server.request("PUT", self._secret, SECRET, changed)
        except StatusError as refused:
            raise _changed(refused, CONFLICT) from None
        return _typed(answer.object, _Secret).metadata.resource_version

    async def publish(self, certificates: frozenset[x509.Certificate], path: str, state: ClusterState) -> None:
        """Write CAs and path to every entry, if the configuration still has the version that was read.

        Nothing else is changed, so other appliers see no drift.

        Raises:
            Conflict: it has another version by now.
            StatusError, ApiServerUnavailable: the API server cannot be reached, or denies access.

        """
        bundle = base64.b64encode(write_bundle(sorted(certificates, key=lambda c: c.not_valid_after_utc))).decode()
        configuration = state.configuration
        version = {"op": "test", "path": "/metadata/resourceVersion", "value": configuration.version}
        bundles = [
            {"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": bundle}
            for index in range(len(configuration.bundles))
        ]
        paths = [change for index, target in enumerate(configuration.targets) for change in target.put(index, path)]
        patch = [version, *bundles, *paths]
        try:
            await self._api_server.request(
                "PATCH", self._configuration, CONFIGURATION, patch, media_type=JSON_PATCH, field_manager=FIELD_MANAGER
            )
        except StatusError as refused:
            raise _changed(refused, CONFLICT, UNPROCESSABLE) from None

    async def watch_secret(self) -> None:
        """Set `changed` whenever the Secret changes, until the API server ends the watch."""
        await self._watch(self._secrets, self._names.secret)

    async def watch_configuration(self) -> None:
        """Set `changed` whenever the configuration changes, until the API server ends the watch."""
        await self._watch(self._configurations, self._names.configuration)

    async def _watch(self, path: str, name: str) -> None:
        try:
            await self._api_server.watch(path, name, self.changed.set)
        finally:
            # Changes between two watches would be missed.
            self.changed.set()

    async def aclose(self) -> None:
        """Close the connections to the API server."""
        await self._api_server.aclose()


def _target(client: _ClientConfig) -> WebhookTarget:
    if client.url:
        return WebhookTarget(find_review_path(client.url), client.url)
    return WebhookTarget((client.service.path or "/") if client.service else None)


def _typed(raw: JsonObject, wanted: type[_Typed]) -> _Typed:
    try:
        return msgspec.convert(raw, wanted)
    except msgspec.ValidationError as error:
        raise ApiServerUnavailable(f"the API server's response is not a valid object: {error}") from None


def _decoded(data: Mapping[str, str]) -> dict[str, bytes]:
    try:
        return {key: base64.b64decode(text, validate=True) for key, text in data.items()}
    except ValueError:
        raise Unusable("the Secret's data is not base64") from None


def _bundle(text: str) -> frozenset[x509.Certificate]:
    """Read an entry's bundle; an unreadable one has to be replaced."""
    try:
        return frozenset(read_bundle(base64.b64decode(text, validate=True)))
    except ValueError:
        return frozenset()


def _changed(refused: StatusError, *statuses: int) -> Exception:
    return Conflict() if refused.status in statuses else refused
