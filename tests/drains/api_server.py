"""A fake API server on loopback: it lists and watches pods like the real one, and fails as a test configures it."""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

from tests.drains.pods import START, Json

TIMEOUT_SECONDS = 60
"""The timeout of steps that take no time on an idle machine."""


class ApiServer:
    """Stores pods, their resource versions, and a clock of its own, which starts at `second`."""

    def __init__(self, second: float = 0) -> None:
        self.pods: dict[str, Json] = {}
        self.objects: dict[str, Json] = {}
        """Other objects and lists, by their path."""
        self.watch_pods: list[Json] = []
        """The pods of `graceful-worker watch`."""
        self.proxied = ""
        """The address of the server that responds for these pods, behind the API server's proxy."""
        self.requests: list[str] = []
        self.refused: dict[str, int] = {}
        """The error status for `list`, `watch`, `get` and `proxy`; other requests get their usual response."""
        self.is_away = False
        """It closes every connection without a response, like a restarting API server behind a load balancer."""
        self.watching = 0
        self._second, self._started = second, time.monotonic()
        self._version, self._oldest, self._broken = 100, 0, 0
        self._events: list[tuple[int, str, Json]] = []
        self._changed = threading.Condition()

    @property
    def now(self) -> datetime.datetime:
        return START + datetime.timedelta(seconds=self._second + time.monotonic() - self._started)

    def see(self, *pods: Json) -> None:
        for pod in pods:
            self._happen("MODIFIED" if pod["metadata"]["name"] in self.pods else "ADDED", pod)
            self.pods[pod["metadata"]["name"]] = pod

    def gone(self, pod: Json) -> None:
        self.pods.pop(pod["metadata"]["name"], None)
        self._happen("DELETED", pod)

    def expire(self) -> None:
        """Expire all resource versions, and end the watches."""
        with self._changed:
            self._version += 10
            self._oldest = self._version
        self.drop()

    def drop(self) -> None:
        with self._changed:
            self._broken += 1
            self._changed.notify_all()

    def go_away(self) -> None:
        self.is_away = True
        self.drop()

    def come_back(self) -> None:
        self.is_away = False

    def _happen(self, kind: str, pod: Json) -> None:
        with self._changed:
            self._version += 1
            stored = {**pod, "metadata": {**pod["metadata"], "resourceVersion": str(self._version)}}
            self._events.append((self._version, kind, stored))
            self._changed.notify_all()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "what was waited for has not come"
            time.sleep(0.02)

    def until_watched(self) -> None:
        self.until(lambda: self.watching > 0)

    def list(self, parameters: dict[str, str]) -> Json:
        with self._changed:
            begin, pods = int(parameters.get("continue", "0")), list(self.pods.values())
            end = begin + int(parameters["limit"])
            rest = {"continue": str(end)} if end < len(pods) else {}
            metadata = {"resourceVersion": str(self._version), **rest}
            return {"kind": "PodList", "metadata": metadata, "items": pods[begin:end]}

    def events_from(self, version: int) -> Iterator[Json | None]:
        """Yield the events of a watch, and None while there are none; return when the watch is dropped."""
        broken, past = self._broken, version
        while True:
            with self._changed:
                if past < self._oldest:
                    yield {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
                    return
                events = [(number, kind, pod) for number, kind, pod in self._events if number > past]
                if not events and broken == self._broken:
                    self._changed.wait(0.2)
            for number, kind, pod in events:
                past = number
                yield {"type": kind, "object": pod}
            if broken != self._broken:
                return
            if not events:
                yield None

    @contextmanager
    def served(self, port: int = 0) -> Iterator[str]:
        """Serve on loopback, and yield the address."""
        server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"api": self}))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            server.server_close()
            self.drop()
            thread.join(TIMEOUT_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: ApiServer

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.api.now.timestamp())

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        if self.api.is_away:
            self.close_connection = True
            return None
        url = urlsplit(self.path)
        parameters = {key: value[0] for key, value in parse_qs(url.query).items()}
        verb = "watch" if "watch" in parameters else "list" if url.path.endswith("/pods") else "get"
        verb = "proxy" if "/proxy/" in url.path else verb
        self.api.requests.append(f"{verb} {url.path}")
        if verb in self.api.refused:
            return self._respond(
                self.api.refused[verb], {"kind": "Status", "code": self.api.refused[verb], "metadata": {}}
            )
        if verb == "proxy":
            return self._proxy(url.path.partition("/proxy/")[2])
        if verb == "get":
            found = self.api.objects.get(url.path)
            return self._respond(200 if found else 404, found or {"kind": "Status", "code": 404})
        if parameters["labelSelector"] == "app.kubernetes.io/name=graceful-worker-watch":
            return self._respond(200, {"kind": "PodList", "metadata": {}, "items": self.api.watch_pods})
        assert parameters["labelSelector"] == "graceful-worker/injected=true"
        if verb == "list":
            return self._respond(200, self.api.list({"limit": "500", **parameters}))
        return self._watch(int(parameters["resourceVersion"]))

    def _respond(self, code: int, body: Json) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _proxy(self, path: str) -> None:
        try:
            with urlopen(f"{self.api.proxied}/{path}", timeout=TIMEOUT_SECONDS) as response:
                content = response.read()
        except OSError:
            self._respond(503, {"kind": "Status", "code": 503, "message": "error trying to reach service"})
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _watch(self, version: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.close_connection = True
        self.api.watching += 1
        try:
            for event in self.api.events_from(version):
                content = json.dumps(event, ensure_ascii=False).encode() + b"\n" if event else b""
                if content:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))
        except OSError:
            pass
        finally:
            self.api.watching -= 1


def write_kubeconfig(file: Path, address: str) -> Path:
    file.write_text(
        f"""apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "{address}"}}}}]
users: [{{name: test, user: {{token: a-token}}}}]
contexts: [{{name: prod, context: {{cluster: test, user: test}}}}]
current-context: prod
"""
    )
    return file
