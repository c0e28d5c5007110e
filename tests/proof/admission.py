"""The API server's part in admission: send pods and evictions to the webhook, and apply its patches."""

from __future__ import annotations

import json
import threading
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from demo.client import Webhook, review_of
from tests.node.specification import Json


@dataclass(frozen=True)
class Admission:
    """A running webhook, and the API from which it reads pods; cells in other processes have a copy of it."""

    webhook: Webhook
    api_server: str
    """The URL from which the webhook reads pods."""

    def admit(self, pod: Json) -> Json:
        """Return a created pod with the changes of admission."""
        return self.webhook.admit(pod)[0]

    def evict(self, pod: Json, name: str, grace: int) -> int | None:
        """Return the grace period in seconds that admission leaves in an eviction; None for the pod's own."""
        # Pods of other cells have the same names.
        namespace = f"cell-{uuid.uuid4()}"
        self._store(namespace, name, pod)
        metadata = {"name": name, "namespace": namespace}
        options = {"gracePeriodSeconds": grace}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
        review = review_of(eviction)
        review["request"] |= {
            "kind": {"group": "policy", "version": "v1", "kind": "Eviction"},
            "subResource": "eviction",
            "name": name,
            "namespace": namespace,
            "userInfo": {"username": "system:serviceaccount:kube-system:cluster-autoscaler"},
        }
        admitted, _ = self.webhook.review(review)
        left: int | None = admitted["deleteOptions"].get("gracePeriodSeconds")
        return left

    def _store(self, namespace: str, name: str, pod: Json) -> None:
        body = json.dumps({**pod, "apiVersion": "v1", "kind": "Pod"}).encode()
        url = f"{self.api_server}/api/v1/namespaces/{namespace}/pods/{name}"
        with urllib.request.urlopen(urllib.request.Request(url, body, method="PUT"), timeout=10):
            pass


class _Pods(BaseHTTPRequestHandler):
    """Store the bodies of PUT requests, and return them to GET requests."""

    kept: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        self.kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._respond(200, b"{}")

    def do_GET(self) -> None:
        body = self.kept.get(self.path)
        missing = b'{"kind": "Status", "message": "not found"}'
        self._respond(200 if body else 404, body or missing)

    def _respond(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def pods_api(kubeconfig: Path) -> Iterator[str]:
    """Serve pods on loopback, and write a kubeconfig with the address for the webhook; yield the URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Pods) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        context = {"name": "proof", "context": {"cluster": "proof", "user": "proof"}}
        cluster, user = {"name": "proof", "cluster": {"server": url}}, {"name": "proof", "user": {"token": "proof"}}
        config = {"current-context": "proof", "contexts": [context], "clusters": [cluster], "users": [user]}
        kubeconfig.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **config}))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield url
        finally:
            server.shutdown()
