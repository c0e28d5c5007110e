"""An API server on loopback that lists and watches pods as the real one does, and has troubles when it is told to."""

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

PATIENCE = 60
"""Seconds for what takes none on an idle machine."""


class ApiServer:
    """Has pods, versions and a clock of its own, which reads `second` when it starts."""

    def __init__(self, second: float = 0) -> None:
        self.pods: dict[str, Json] = {}
        self.objects: dict[str, Json] = {}
        """Other objects and lists, by their path."""
        self.watch_pods: list[Json] = []
        """Pods of a watch."""
        self.proxied = ""
        """The address of what answers for these, behind the proxy."""
        self.requests: list[str] = []
        self.refused: dict[str, int] = {}
        """The status that is answered to `list`, `watch`, `get` and `proxy`, in place of an answer."""
        self.is_away = False
        """It takes connections, and closes them without an answer, as one behind a load balancer that restarts."""
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
        """Forget all versions, and break off the watches."""
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

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
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
        """Yield the events of a watch, None while there are none; it ends when it is broken off."""
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
        """Serve, and return the address."""
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
            thread.join(PATIENCE)


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
            return self._answer(
                self.api.refused[verb], {"kind": "Status", "code": self.api.refused[verb], "metadata": {}}
            )
        if verb == "proxy":
            return self._proxy(url.path.partition("/proxy/")[2])
        if verb == "get":
            found = self.api.objects.get(url.path)
            return self._answer(200 if found else 404, found or {"kind": "Status", "code": 404})
        if parameters["labelSelector"] == "app.kubernetes.io/name=graceful-worker-watch":
            return self._answer(200, {"kind": "PodList", "metadata": {}, "items": self.api.watch_pods})
        assert parameters["labelSelector"] == "graceful-worker/injected=true"
        if verb == "list":
            return self._answer(200, self.api.list({"limit": "500", **parameters}))
        return self._watch(int(parameters["resourceVersion"]))

    def _answer(self, code: int, body: Json) -> None:
        content = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _proxy(self, path: str) -> None:
        try:
            with urlopen(f"{self.api.proxied}/{path}", timeout=PATIENCE) as answer:
                content = answer.read()
        except OSError:
            self._answer(503, {"kind": "Status", "code": 503, "message": "error trying to reach service"})
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
