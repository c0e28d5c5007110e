"""`graceful-worker drains --history` with a watch that serves its metrics, and without one."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.drains.api_server import ApiServer
from tests.drains.pods import pod
from tests.drains.process import DrainsProcess
from tests.watch.served import Served
from webhook.cli.commands import main
from webhook.cli.drains import HISTORY_PERMISSIONS
from webhook.drains.reflector import PodDeleted, PodsListed
from webhook.history.sources import CLUSTER_PERMISSIONS, WATCH_PERMISSIONS

FINISHED = {"worker": {"at": 42}}
KILLED = {"worker": {"code": 137, "at": 60}}
DRAINED = {"worker": {"at": 5, "message": "graceful-worker: loop drained in 12 s; runs: 4, longest: 9 s"}}
PROXY = "proxy /api/v1/namespaces/graceful-worker/pods/watch-1:9090/proxy/metrics"
EVENTS = "/api/v1/events"


def watch_pod(name: str = "watch-1", phase: str = "Running", **metadata: Any) -> dict[str, Any]:
    ports = [{"name": "debug", "containerPort": 1}, {"name": "http", "containerPort": 9090}]
    return {
        "metadata": {"name": name, "namespace": "graceful-worker", **metadata},
        "spec": {"containers": [{"name": "watch", "ports": ports}]},
        "status": {"phase": phase},
    }


@pytest.fixture
def api() -> ApiServer:
    api = ApiServer()
    api.objects[EVENTS] = {"kind": "EventList", "metadata": {}, "items": []}
    return api


@pytest.fixture
def address(api: ApiServer) -> Iterator[str]:
    with api.served() as address:
        yield address


@pytest.fixture
def watch() -> Iterator[Served]:
    """A watch that has observed the end of two drains of a Deployment and of one of a StatefulSet."""
    served = Served()
    served.see(
        PodsListed([]),
        PodDeleted(pod("a", deleted=0, ends=FINISHED)),
        PodDeleted(pod("b", deleted=0, grace=60, ends=KILLED)),
        PodDeleted(pod("c", owner="StatefulSet import", namespace="mail", deleted=0, ends=FINISHED)),
    )
    yield served
    served.close()


def run_to_end(directory: Path, address: str, *arguments: str, code: int = 0) -> DrainsProcess:
    with DrainsProcess(directory, address, "--history", *arguments) as running:
        assert running.end() == code, running.errors
        return running


def test_the_watch_is_found_in_the_cluster_and_read_through_the_pod_proxy(
    tmp_path: Path, api: ApiServer, address: str, watch: Served
) -> None:
    api.watch_pods = [
        watch_pod("old", deletionTimestamp="2026-08-01T03:00:00Z"),
        watch_pod(),
        watch_pod("x", "Pending"),
    ]
    api.proxied = watch.address
    process = run_to_end(tmp_path, address)
    assert process.lines[0].startswith("From the watch graceful-worker/watch-1, which counts since ")
    assert "shop deployment/emails: longest drain of 2: 42 s of 60 s; 1 was killed at 60 s" in process.text
    assert "  → raise it: graceful-worker/grace-period: 2m" in process.text
    assert PROXY in api.requests
    assert process.errors == ""


def test_a_watch_can_be_read_at_an_address_without_a_cluster(tmp_path: Path, watch: Served) -> None:
    for address in (watch.address, f"{watch.address}/metrics"):
        process = run_to_end(tmp_path, "", "--watch-url", address)
        assert process.lines[0].startswith(f"From the watch {watch.address}/metrics, which counts since ")
        assert "statefulset/import" in process.text


@pytest.mark.parametrize(
    ("arguments", "owners"),
    [
        (["-n", "mail"], ["import"]),
        (["deploy/emails"], ["emails"]),
        (["sts/import", "-n", "shop"], []),
        (["-A"], ["import", "emails"]),
    ],
)
def test_namespaces_and_owners_select(arguments: list[str], owners: list[str], tmp_path: Path, watch: Served) -> None:
    output = json.loads(run_to_end(tmp_path, "", "--watch-url", watch.address, "-o", "json", *arguments).text)
    assert [each["owner"]["name"] for each in output["history"]] == owners


def test_json_has_numbers_and_codes(tmp_path: Path, api: ApiServer, address: str, watch: Served) -> None:
    api.watch_pods, api.proxied = [watch_pod()], watch.address
    output = json.loads(run_to_end(tmp_path, address, "-o", "json", "deployment/emails").text)
    assert (output["context"], output["source"]["kind"], output["notKnown"]) == ("prod", "watch", [])
    (emails,) = output["history"]
    assert (emails["drains"], emails["longestSeconds"], emails["gracePeriodSeconds"]) == (2, 42, 60)
    assert emails["outcomes"] == {"finished": 1, "killed": 1}
    assert emails["killed"] == [{"outcome": "killed", "cause": "deletion", "count": 1, "afterSeconds": 60}]
    assert [(each["code"], each["gracePeriod"]) for each in emails["advice"]] == [("raise", "2m")]


@pytest.mark.parametrize(
    ("pods", "refused", "words"),
    [
        (
            [],
            {},
            "the watch is not installed in namespace graceful-worker (kubectl apply -k deploy/overlays/drain-watch)",
        ),
        ([watch_pod(phase="Pending")], {}, "the watch is not running in namespace graceful-worker"),
        (
            [watch_pod()],
            {"proxy": 403},
            "permission missing to read its metrics: get pods/proxy in namespace graceful-worker",
        ),
        ([watch_pod()], {}, "the watch graceful-worker/watch-1 responds with status 503"),
    ],
)
def test_without_a_watch_the_history_comes_from_pods_and_events_of_the_cluster(
    pods: list[dict[str, Any]], refused: dict[str, int], words: str, tmp_path: Path, api: ApiServer, address: str
) -> None:
    api.watch_pods, api.refused, api.proxied = pods, refused, "http://127.0.0.1:1"
    api.see(pod("a", workers={"worker": {"mode": "loop", "framework": "symfony-messenger"}}, before=DRAINED))
    regarding = {"kind": "Deployment", "name": "emails", "namespace": "shop", "apiVersion": "apps/v1"}
    event = {"metadata": {"namespace": "shop"}, "involvedObject": regarding, "reason": "WorkerOutOfMemory", "count": 2}
    api.objects[EVENTS]["items"] = [event]
    text = run_to_end(tmp_path, address).text
    assert f"Not known: what a watch has counted: {words}" in text
    assert "shop deployment/emails: longest drain of 1: 12 s of 3600 s; longest run: 9 s; 2 were out of memory" in text


def test_a_missing_permission_for_pods_is_reported(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.refused["list"] = 403
    text = run_to_end(tmp_path, address).text
    assert "permission missing to find the watch: list pods in namespace graceful-worker.\n" in text
    assert "Not known: permission missing: list pods in all namespaces.\n" in text


def test_without_any_permission_the_exit_code_is_2(tmp_path: Path, api: ApiServer, address: str) -> None:
    api.refused = {"list": 403, "get": 403}
    errors = run_to_end(tmp_path, address, code=2).errors
    assert "permissions missing: list pods in all namespaces; list events" in errors


@contextmanager
def server_with_response(head: bytes, pieces: int) -> Iterator[str]:
    """Serve a response with the given head and a body of some MiB of spaces."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(head)
            try:
                for _ in range(pieces):
                    self.wfile.write(b" " * 1024 * 1024)
            except OSError:
                return

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("head", "pieces", "words"),
    [
        (b"HTTP/1.0 404 Not Found\r\n\r\n", 0, "responds with status 404"),
        (b"HTTP/1.0 302 Found\r\nLocation: /login\r\n\r\n", 0, "responds with status 302"),
        (b"HTTP/1.0 200 OK\r\n\r\n", 0, "these are not the metrics of graceful-worker watch"),
        (b"HTTP/1.0 200 OK\r\n\r\n", 40, "answers with more than 16 MiB"),
        (b"no HTTP at all\r\n\r\n", 0, "cannot be reached"),
    ],
)
def test_an_address_that_is_not_a_watch_gives_exit_code_2(head: bytes, pieces: int, words: str, tmp_path: Path) -> None:
    with server_with_response(head, pieces) as address:
        assert words in run_to_end(tmp_path, "", "--watch-url", address, code=2).errors


def test_an_address_that_never_responds_times_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        errors = run_to_end(tmp_path, "", "--watch-url", address, code=2).errors
    assert "does not respond within 15 s" in errors or "cannot be reached" in errors


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "ftp://watch/", "http://", "http://[::"])
def test_an_invalid_address_is_reported(address: str, tmp_path: Path) -> None:
    assert "is not " in run_to_end(tmp_path, "", "--watch-url", address, code=2).errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--history", "--watch"], "--history excludes --watch and --wait"),
        (["--history", "--wait"], "--history excludes --watch and --wait"),
        (["--history", "node/node-1"], "a history is kept by owner"),
        (["--watch-url", "http://127.0.0.1:8080"], "--watch-url requires --history"),
    ],
)
def test_a_contradictory_or_invalid_option_is_a_usage_error(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["drains", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr


def test_help_lists_the_permissions() -> None:
    text = CliRunner().invoke(main, ["drains", "--help"]).stdout
    for right in HISTORY_PERMISSIONS:
        assert right in text
    for right in (*WATCH_PERMISSIONS, *CLUSTER_PERMISSIONS):
        assert any(right in each for each in HISTORY_PERMISSIONS)
