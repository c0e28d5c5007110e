"""Time left counts by the clock that dates deletions, which is not always the local one."""

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
def test_another_clock_is_followed(date: str, ahead: float) -> None:
    assert (clock_after(date).now() - START).total_seconds() == ahead


@pytest.mark.parametrize("second", [58, 59, 0, 1])
def test_a_second_is_no_other_clock(second: int) -> None:
    minute = 59 if second > 30 else 0
    hour = 2 if minute else 3
    assert clock_after(f"Sat, 01 Aug 2026 {hour:02}:{minute:02}:{second:02} GMT").now() == START


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sat, 99 Aug 2026 03:00:00 GMT"])
def test_an_answer_without_a_time_changes_nothing(date: str | None) -> None:
    assert clock_after(date).now() == START


def test_a_clock_that_is_set_right_is_followed_no_longer() -> None:
    clock = clock_after("Sat, 01 Aug 2026 04:00:00 GMT")
    asyncio.run(clock.update(httpx2.Response(200, headers={"Date": "Sat, 01 Aug 2026 03:00:00 GMT"})))
    assert clock.now() == START
