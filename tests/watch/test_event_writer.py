"""Writing Events, and failures to write them."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import AsyncIterator

import httpx2
import pytest

from certs.api_server import ApiServer
from webhook.core.ownership import Owner
from webhook.watch.event_aggregator import AggregatedEvent, EventAggregator, PodEvent
from webhook.watch.event_writer import MAX_QUEUED, STALE_SECONDS, EventWriter

NOW = datetime.datetime(2026, 8, 1, tzinfo=datetime.UTC)


class Scene:
    """A writer, and an API server that responds with these statuses, and then repeats the last one."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.aggregator = EventAggregator()
        self.now = 0.0
        self.written: list[dict[str, object]] = []
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._respond), base_url="https://cluster.test")
        self.writer = EventWriter(ApiServer(client), self.aggregator, lambda: NOW, lambda: self.now)

    async def _respond(self, request: httpx2.Request) -> httpx2.Response:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == 0:
            raise httpx2.ConnectError("connection refused")
        event = json.loads(await request.aread())
        if status < 300:
            self.written.append(event)
        content = event if status < 300 else {"kind": "Status", "message": "no", "code": status}
        return httpx2.Response(status, content=_streamed(json.dumps(content)))

    def enqueue_event(self, owner: str = "emails") -> None:
        pod_event = PodEvent(
            "shop", Owner("Deployment", owner, "apps/v1"), "", "a", "uid", "WorkerKilled", "{pods} killed", 600
        )
        self.writer.enqueue([AggregatedEvent(pod_event, 3)])

    def write(self) -> bool:
        return asyncio.run(self.writer.write())


async def _streamed(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


def test_an_event_is_about_the_owner_and_names_the_pod() -> None:
    scene = Scene(201)
    scene.enqueue_event()
    assert scene.write()
    (event,) = scene.written
    assert event["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "namespace": "shop",
        "name": "emails",
    }
    assert event["message"] == "3 pods, such as a, were killed"
    assert (event["type"], event["reason"], event["count"]) == ("Warning", "WorkerKilled", 3)
    assert scene.aggregator.results["written"] == 1


@pytest.mark.parametrize("status", [0, 401, 429, 500, 503])
def test_an_event_that_cannot_be_written_now_is_written_later(status: int) -> None:
    scene = Scene(status, 201)
    scene.enqueue_event()
    assert not scene.write()
    assert scene.write()
    assert scene.aggregator.results == {"written": 1, "failed": 0, "dropped": 0}


@pytest.mark.parametrize("status", [403, 404, 422])
def test_an_event_that_is_refused_is_counted_and_does_not_delay_others(status: int) -> None:
    scene = Scene(status, 201)
    scene.enqueue_event("gone")
    scene.enqueue_event("there")
    assert scene.write()
    assert [event["involvedObject"]["name"] for event in scene.written] == ["there"]  # type: ignore[index]
    assert scene.aggregator.results == {"written": 1, "failed": 1, "dropped": 0}


def test_a_missing_right_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(403)
    for _ in range(5):
        scene.enqueue_event()
    scene.write()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "create events" in line


def test_an_event_that_cannot_be_written_for_long_is_given_up() -> None:
    scene = Scene(0)
    scene.enqueue_event()
    assert not scene.write()
    scene.now = STALE_SECONDS
    assert scene.write()
    assert scene.aggregator.results["failed"] == 1


def test_the_number_of_queued_events_is_bounded() -> None:
    scene = Scene(0)
    for _ in range(MAX_QUEUED + 7):
        scene.enqueue_event()
    assert scene.aggregator.results["dropped"] == 7
