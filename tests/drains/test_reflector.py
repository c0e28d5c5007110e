"""What the reflector yields from the responses of an API server: each case is a file.

`responses` has one entry per request: `list` (names of pods), `watch` (lines of `TYPE name`, or any other
content), `no` (a connection error), `status`, or any other HTTP response. `requests` has the requests, `changes`
what the reflector yields, and `log` what it logs.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from ruamel.yaml import YAML

from certs import retry
from tests.drains.pods import pod
from webhook.drains import list_watch, reflector
from webhook.drains.health import WatchHealth
from webhook.drains.reflector import PodChange, PodDeleted, PodsListed, PodUpdated, list_and_watch

FOLDER = Path(__file__).with_name("responses")
CASES = {path.stem: YAML(typ="safe").load(path) for path in sorted(FOLDER.glob("*.yaml"))}
JSON = {"Content-Type": "application/json"}


class NoMoreResponses(BaseException):
    """The case has no more responses."""


class ApiServer:
    """A fake API server that sends the responses of a case."""

    def __init__(self, responses: list[dict[str, Any]]) -> None:
        self._responses = iter(responses)
        self._version = 0
        self.requests: list[str] = []

    def client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(transport=httpx2.MockTransport(self._respond), base_url="https://cluster.test")

    async def _respond(self, request: httpx2.Request) -> httpx2.Response:
        response = next(self._responses, None)
        if response is None:
            raise NoMoreResponses
        self.requests.append(self._describe_request(request))
        ((kind, given),) = response.items()
        if kind == "list":
            return self._list(given)
        if kind == "watch":
            return httpx2.Response(200, headers=JSON, content=self._watch(given))
        if kind == "no":
            raise httpx2.ConnectError(given)
        if kind == "status":
            status = {"kind": "Status", "code": given, "message": "no", "metadata": {}}
            return httpx2.Response(given, headers=JSON, content=streamed(json.dumps(status)))
        return httpx2.Response(given["status"], headers=given.get("headers"), content=streamed(given.get("body", "")))

    @staticmethod
    def _describe_request(request: httpx2.Request) -> str:
        parameters = request.url.params
        if parameters.get("watch"):
            return f"watch since {parameters['resourceVersion']}"
        rest = f", from {parameters['continue']}" if "continue" in parameters else ""
        return f"list {parameters['limit']}{rest}"

    def _list(self, given: dict[str, Any]) -> httpx2.Response:
        self._version = given.get("version", self._version)
        items = [raw(each, self._version) for each in given["pods"]]
        metadata = {"resourceVersion": str(self._version), "continue": given.get("rest", "")}
        content = {"kind": "PodList", "metadata": metadata, "items": items, "padding": "x" * given.get("padding", 0)}
        return httpx2.Response(200, headers=JSON, content=streamed(json.dumps(content)))

    async def _watch(self, given: list[str]) -> AsyncIterator[bytes]:
        for line in given:
            kind, _, rest = line.partition(" ")
            if kind == "CUT":
                raise httpx2.ReadError("connection reset by peer")
            if kind == "HALF":
                yield rest.encode()
                continue
            yield self._line(kind, rest)

    def _line(self, kind: str, rest: str) -> bytes:
        if kind == "RAW":
            return rest.encode() + b"\n"
        if kind == "ERROR":
            status = {"kind": "Status", "code": int(rest), "message": "no"}
            return json.dumps({"type": kind, "object": status}).encode() + b"\n"
        self._version += 1
        return json.dumps({"type": kind, "object": raw(rest or "none", self._version)}).encode() + b"\n"


async def streamed(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


def raw(name: str, version: int) -> Any:
    if name == "odd":
        return {"metadata": {"name": 7, "resourceVersion": str(version)}}
    given = pod(name)
    given["metadata"]["resourceVersion"] = str(version)
    given["spec"]["containers"] = [{"name": "worker", "env": [{"name": "PASSWORD", "value": "secret"}]}]
    return given


def describe(change: PodChange) -> str:
    if isinstance(change, PodsListed):
        return " ".join(["listed", *(each["metadata"]["name"] for each in change.pods)])
    return f"{'gone' if isinstance(change, PodDeleted) else 'seen'} {change.pod['metadata']['name']}"


async def changes_from(server: ApiServer, health: WatchHealth) -> list[str]:
    found: list[str] = []
    try:
        async with server.client() as client, aclosing(list_and_watch(client, "a=b", health=health)) as changes:
            async for change in changes:
                found.append(describe(change))
    except NoMoreResponses:
        pass
    return found


@pytest.fixture(autouse=True)
def _short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((retry, "INITIAL_BACKOFF"), (retry, "MAX_BACKOFF"), (reflector, "MIN_WATCH_INTERVAL")):
        monkeypatch.setattr(module, name, 0.001)
    monkeypatch.setattr(list_watch, "MAX_LINE_BYTES", 4000)
    monkeypatch.setattr(list_watch, "MAX_PAGE_BYTES", 20_000)


@pytest.mark.parametrize("name", CASES)
def test_the_reflector_keeps_watching_whatever_the_api_server_responds(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    case = CASES[name]
    server, health = ApiServer(case["responses"]), WatchHealth()
    with caplog.at_level(logging.ERROR, "graceful_worker"):
        changes = asyncio.run(changes_from(server, health))
    assert changes == case["changes"]
    assert server.requests == case["requests"]
    logged = [record.getMessage() for record in caplog.records]
    expected = case.get("log", [])
    assert len(logged) == len(expected), logged
    assert [line for line, words in zip(logged, expected, strict=True) if words not in line] == []
    assert health.failures == case.get("failures", len(expected))


def test_fields_of_a_pod_that_are_not_needed_are_dropped() -> None:
    server = ApiServer([{"list": {"pods": ["a"], "version": 1}}, {"watch": ["MODIFIED a"]}])

    async def kept() -> str:
        async with server.client() as client, aclosing(list_and_watch(client, "a=b")) as changes:
            listed, seen = await anext(changes), await anext(changes)
        assert isinstance(listed, PodsListed)
        assert isinstance(seen, PodUpdated)
        return json.dumps([*listed.pods, seen.pod])

    text = asyncio.run(kept())
    assert "uid-of-a" in text
    assert [word for word in ("secret", "PASSWORD", "graceful-worker/status") if word in text] == []


def test_a_watch_without_events_counts_as_a_response() -> None:
    now = 0.0
    silences = []

    class Clocked(ApiServer):
        async def _respond(self, request: httpx2.Request) -> httpx2.Response:
            nonlocal now
            silences.append(health.silence)
            now += 100
            return await super()._respond(request)

    health = WatchHealth(clock=lambda: now)
    server = Clocked([{"list": {"pods": [], "version": 1}}, {"watch": []}, {"watch": []}, {"no": "refused"}])
    asyncio.run(changes_from(server, health))
    assert silences == [0, 0, 0, 0, 100]
