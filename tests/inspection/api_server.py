"""A fake, read-only API server on a list of objects, with selectors, pages and missing rights."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import httpx2

Object = dict[str, Any]
PATH = re.compile(r"/(?:api|apis/(?P<group>[^/]+))/v1(?:/namespaces/(?P<namespace>[^/]+))?/(?P<rest>[^/]+(?:/[^/]+)?)")
KUBELET = re.compile(r"/api/v1/nodes/([^/]+)/proxy/configz")
PROXY = re.compile(r"/api/v1/namespaces/([^/]+)/pods/([^/:]+):8080/proxy/metrics")
KINDS = {
    "mutatingwebhookconfigurations": "MutatingWebhookConfiguration",
    "deployments": "Deployment",
    "statefulsets": "StatefulSet",
    "daemonsets": "DaemonSet",
    "endpointslices": "EndpointSlice",
    "namespaces": "Namespace",
    "pods": "Pod",
    "nodes": "Node",
    "configmaps": "ConfigMap",
    "nodepools": "NodePool",
}
PAGE = 2
"""The size of a page: so small that lists have several pages."""


class ApiServer:
    """Responds to requests, and records which rights they need."""

    def __init__(self, objects: Iterable[Object], denied: Iterable[str] = ()) -> None:
        self.objects = list(objects)
        self._denied = frozenset(denied)
        self.rights: set[str] = set()
        self.requests: list[httpx2.Request] = []

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(self.respond), base_url="https://cluster.test")

    def respond(self, request: httpx2.Request) -> httpx2.Response:
        assert request.method == "GET"
        self.requests.append(request)
        if kubelet := KUBELET.fullmatch(request.url.path):
            return self._kubelet(kubelet[1])
        if proxy := PROXY.fullmatch(request.url.path):
            return self._metrics(*proxy.groups())
        path = PATH.fullmatch(request.url.path)
        assert path, request.url.path
        resource, _, name = path["rest"].partition("/")
        group, namespace = path["group"] or "", path["namespace"] or ""
        kind = f"{resource}.{group}" if group else resource
        where = f" in namespace {namespace}" if namespace else ""
        right = f"{'get' if name else 'list'} {kind}"
        self.rights.add(right)
        if self._denied & {right, right + where}:
            return status(403, "forbidden")
        found = [
            each
            for each in self.objects
            if each["kind"] == KINDS[resource] and namespace in ("", each["metadata"].get("namespace"))
        ]
        if group == "karpenter.sh" and not found:
            return httpx2.Response(404, text="404 page not found\n")
        if name:
            named = [each for each in found if each["metadata"]["name"] == name]
            return httpx2.Response(200, json=named[0]) if named else status(404, "not found")
        return _page(request, found)

    def _kubelet(self, node: str) -> httpx2.Response:
        """Respond as a kubelet behind the API server's proxy; a kubelet without an object is down."""
        self.rights.add("get nodes/proxy")
        if "get nodes/proxy" in self._denied:
            return status(403, "forbidden")
        found = [each for each in self.objects if each["kind"] == "Kubelet" and each["metadata"]["name"] == node]
        return httpx2.Response(200, json=found[0]["answer"]) if found else status(502, "error trying to reach service")

    def _metrics(self, namespace: str, pod: str) -> httpx2.Response:
        """Respond as the watch behind the API server's proxy; a watch without an object does not respond."""
        self.rights.add("get pods/proxy")
        if "get pods/proxy" in self._denied:
            return status(403, "forbidden")
        found = [each for each in self.objects if each["kind"] == "Metrics" and each["metadata"]["name"] == pod]
        if not found:
            return status(503, "error trying to reach service")

        async def chunks() -> AsyncIterator[bytes]:
            yield found[0]["text"].encode()

        return httpx2.Response(200, content=chunks())


def status(code: int, message: str) -> httpx2.Response:
    """Return an error response as the API server does."""
    return httpx2.Response(code, json={"kind": "Status", "code": code, "message": message, "metadata": {}})


def _page(request: httpx2.Request, found: list[Object]) -> httpx2.Response:
    parameters = request.url.params
    for requirement in re.split(r",(?![^(]*\))", parameters.get("labelSelector", "")):
        meets = _requirement(requirement)
        found = [each for each in found if meets(each["metadata"].get("labels") or {})]
    if name := re.fullmatch(r"metadata\.name=(.+)", parameters.get("fieldSelector", "")):
        found = [each for each in found if each["metadata"]["name"] == name[1]]
    if "status.phase!=Succeeded" in parameters.get("fieldSelector", ""):
        found = [each for each in found if each.get("status", {}).get("phase") not in ("Succeeded", "Failed")]
    begin = int(parameters.get("continue", "0"))
    page = found[begin : begin + PAGE]
    if "PartialObjectMetadata" in request.headers["Accept"]:
        page = [{"metadata": each["metadata"]} for each in page]
    rest = {"continue": str(begin + PAGE)} if begin + PAGE < len(found) else {}
    return httpx2.Response(200, content=json.dumps({"metadata": rest, "items": page}))


def _requirement(text: str) -> Callable[[dict[str, str]], bool]:
    """Parse one requirement of a selector, in the forms in which this project writes them."""
    if not text:
        return lambda labels: True
    if among := re.fullmatch(r"(\S+) (in|notin) \(([^)]*)\)", text):
        values = among[3].split(",")
        return lambda labels: (labels.get(among[1]) in values) is (among[2] == "in")
    if unequal := re.fullmatch(r"([^!=]+)!=(.*)", text):
        return lambda labels: labels.get(unequal[1]) != unequal[2]
    if equal := re.fullmatch(r"([^!=]+)=(.*)", text):
        return lambda labels: labels.get(equal[1]) == equal[2]
    if text.startswith("!"):
        return lambda labels: text[1:] not in labels
    return lambda labels: text in labels
