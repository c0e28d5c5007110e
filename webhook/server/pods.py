"""Pods as the API server stores them, asked for one by one."""

from __future__ import annotations

import re
from http import HTTPStatus

from certs.api_server import ApiServer, NoAnswer, Refused, connect
from webhook.core.pod import JsonObject
from webhook.server.eviction_guard import PodGone, PodUnseen

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/: nothing else is put into a path.
_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?")


class ClusterPods:
    """Asks for pods; needs the right to get them."""

    def __init__(self, api_server: ApiServer) -> None:
        """Take whom to ask."""
        self._api_server = api_server

    async def get(self, namespace: str, name: str) -> JsonObject:
        """Return a pod.

        Raises:
            PodGone: there is none of that name.
            PodUnseen: it cannot be looked at; the message says why.

        """
        if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
            raise PodGone
        try:
            return (await self._api_server.ask("GET", f"api/v1/namespaces/{namespace}/pods/{name}", "Pod")).object
        except Refused as refused:
            if refused.status == HTTPStatus.NOT_FOUND:
                raise PodGone from None
            raise PodUnseen(str(refused)) from None
        except NoAnswer as error:
            raise PodUnseen(str(error)) from None

    async def aclose(self) -> None:
        """Close the connections to the API server."""
        await self._api_server.aclose()


def connect_pods() -> ClusterPods:
    """Return the pods of the cluster that this runs in, or of KUBECONFIG.

    Raises:
        NoCluster: there is neither.

    """
    return ClusterPods(connect())
