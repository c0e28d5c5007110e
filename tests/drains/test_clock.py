"""The time left is measured by the API server's clock, which dates deletions and may differ from the local one."""

from __future__ import annotations

import asyncio
import datetime

import httpx2
import pytest

from tests.drains.pods import START
from webhook.drains.clock import ServerClock


def clock_after(date: str | None, local: datetime.datetime = START) -> ServerClock:
    clock = ServerClock(lambda: local)
    asyncio.run(clock.update(httpx2.Response(200, headers={"Date": date} if date else {})))
    return clock


@pytest.mark.parametrize(
    ("date", "ahead"),
    [("Sat, 01 Aug 2026 03:10:00 GMT", 600.5), ("Sat, 01 Aug 2026 02:00:00 GMT", -3599.5)],
)
def test_the_offset_of_the_api_servers_clock_is_applied(date: str, ahead: float) -> None:
    assert (clock_after(date).now() - START).total_seconds() == ahead


@pytest.mark.parametrize("second", [58, 59, 0, 1])
def test_a_difference_of_a_second_is_ignored(second: int) -> None:
    minute = 59 if second > 30 else 0
    hour = 2 if minute else 3
    assert clock_after(f"Sat, 01 Aug 2026 {hour:02}:{minute:02}:{second:02} GMT").now() == START


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sat, 99 Aug 2026 03:00:00 GMT"])
def test_a_response_without_a_valid_date_changes_nothing(date: str | None) -> None:
    assert clock_after(date).now() == START


def test_the_offset_is_dropped_once_the_clocks_agree_again() -> None:
    clock = clock_after("Sat, 01 Aug 2026 04:00:00 GMT")
    asyncio.run(clock.update(httpx2.Response(200, headers={"Date": "Sat, 01 Aug 2026 03:00:00 GMT"})))
    assert clock.now() == START
