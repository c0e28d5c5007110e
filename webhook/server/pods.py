"""Reads pods and their nodes from the API server."""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus

from certs.api_server import ApiServer, NoAnswer, Refused, connect
from webhook.core.pod import JsonObject
from webhook.server.errors import PodNotFound, PodUnreadable

NODE_SECONDS = 5.0
"""How long a node is cached: kubelets have at least 40 s before their node counts as unreachable."""
_MOST_NODES = 256
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/: nothing else is put into a path.
_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?")


class ClusterPods:
    """Reads pods and nodes; needs permission to get them."""

    def __init__(self, api_server: ApiServer, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the API server."""
        self._api_server = api_server
        self._clock = clock
        self._nodes: OrderedDict[str, tuple[float, asyncio.Task[JsonObject | None]]] = OrderedDict()

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
        until, reading = self._nodes.get(name, (0.0, None))
        if reading is None or self._clock() >= until:
            reading = asyncio.create_task(self._get(f"api/v1/nodes/{name}", "Node"))
            # The waiting request may have been cancelled before this fails.
            reading.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._nodes[name] = self._clock() + NODE_SECONDS, reading
            self._nodes.move_to_end(name)
            if len(self._nodes) > _MOST_NODES:
                self._nodes.popitem(last=False)
        # Other requests may wait for it, too.
        return await asyncio.shield(reading)

    async def _get(self, path: str, kind: str) -> JsonObject | None:
        try:
            return (await self._api_server.ask("GET", path, kind)).object
        except Refused as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                return None
            raise PodUnreadable(str(refused)) from None
        except NoAnswer as error:
            raise PodUnreadable(str(error)) from None

    async def aclose(self) -> None:
        """Cancel pending requests, and close the connections to the API server."""
        readings = [reading for _, reading in self._nodes.values()]
        for reading in readings:
            reading.cancel()
        await asyncio.gather(*readings, return_exceptions=True)
        await self._api_server.aclose()


def connect_pods() -> ClusterPods:
    """Return the pods of the cluster that this runs in, or of KUBECONFIG.

    Raises:
        NoCluster: neither exists.

    """
    return ClusterPods(connect())
