"""Reads pods and their nodes from the API server."""

from __future__ import annotations

import re
from http import HTTPStatus

from certs.api_server import ApiServer
from certs.errors import ApiServerUnavailable, StatusError
from webhook.core.pod import JsonObject
from webhook.images.task_cache import TaskCache
from webhook.server.errors import PodNotFound, PodUnreadable

NODE_SECONDS = 5.0
"""How long a node is cached: kubelets have at least 40 s before their node counts as unreachable."""
_MAX_NODES = 256
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/: nothing else is put into a path.
_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?")


class ClusterPods:
    """Reads pods and nodes; needs permission to get them."""

    def __init__(self, api_server: ApiServer) -> None:
        """Take the API server."""
        self._api_server = api_server
        self._nodes: TaskCache[str, JsonObject | None] = TaskCache(NODE_SECONDS, _MAX_NODES)

    async def get(self, namespace: str, name: str) -> JsonObject:
        """Return a pod.

        Raises:
            PodNotFound: it does not exist.
            PodUnreadable: it cannot be read; the message says why.

        """
        if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
            raise PodNotFound
        pod = await self._get(f"api/v1/namespaces/{namespace}/pods/{name}", "Pod")
        if pod is None:
            raise PodNotFound
        return pod

    async def node(self, name: str) -> JsonObject | None:
        """Return a node; None if it does not exist. A drain evicts many pods of a node, so it is cached.

        Raises:
            PodUnreadable: it cannot be read; the message says why.

        """
        if not _NAME.fullmatch(name):
            return None
        return await self._nodes.get(name, lambda: self._get(f"api/v1/nodes/{name}", "Node"))

    async def _get(self, path: str, kind: str) -> JsonObject | None:
        try:
            return (await self._api_server.request("GET", path, kind)).object
        except (StatusError, ApiServerUnavailable) as error:
            if isinstance(error, StatusError) and error.status == HTTPStatus.NOT_FOUND:
                return None
            raise PodUnreadable(str(error)) from None

    async def aclose(self) -> None:
        """Cancel pending requests, and close the connections to the API server."""
        await self._nodes.aclose()
        await self._api_server.aclose()
