"""The output about drains: a table, a line per event, JSON."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from webhook.core.pluralize import pluralize
from webhook.drains.connection import Outage
from webhook.drains.outcome import Outcome
from webhook.drains.pods import DrainingPod
from webhook.drains.selection import Target, written
from webhook.drains.tracker import Begun, Ended

HEAD = ("NAMESPACE", "POD", "OWNER", "WORKER", "CAUSE", "DRAINING FOR", "LEFT", "NODE")
_UNITS = ((3600, "h"), (60, "m"), (1, "s"))


class Row(msgspec.Struct, frozen=True):
    """A row of the table."""

    namespace: str
    pod: str
    owner: str
    worker: str
    cause: str
    draining_for: str
    left: str
    node: str
    is_overdue: bool


def left_of(pod: DrainingPod, now: datetime.datetime) -> int:
    """Return the whole seconds until the deadline, at most the full period; negative after the deadline."""
    return min(round((pod.deadline - now).total_seconds()), pod.period)


def used_of(pod: DrainingPod, now: datetime.datetime) -> int:
    """Return the whole seconds since the deletion."""
    return pod.period - left_of(pod, now)


def row_of(drain: Begun, now: datetime.datetime) -> Row:
    """Return the row of a drain at a moment."""
    pod = drain.pod
    return Row(
        pod.namespace,
        pod.name,
        written(pod.owner),
        worker_of(pod),
        printable(drain.cause),
        span(used_of(pod, now)),
        _left(pod, now),
        pod.node or "-",
        left_of(pod, now) < 0,
    )


def worker_of(pod: DrainingPod) -> str:
    """Format framework and mode."""
    mode = f"({pod.mode})" if pod.mode else ""
    return printable(" ".join(filter(None, [pod.framework, mode]))) or "-"


def _left(pod: DrainingPod, now: datetime.datetime) -> str:
    left = left_of(pod, now)
    if left < 0:
        return f"OVERDUE by {span(-left)}"
    cut = f", cut from {span(pod.grace)}" if pod.is_cut else ""
    return f"{span(left)} of {span(pod.period)}{cut}"


def span(seconds: int) -> str:
    """Format a duration like kubectl: 42s, 9m18s, 1h."""
    parts = []
    for unit, letter in _UNITS:
        count, seconds = divmod(seconds, unit)
        parts += [f"{count}{letter}"] if count else []
    return "".join(parts) or "0s"


def printable(text: str) -> str:
    """Remove terminal control characters: others may have edited the annotation."""
    return "".join(character if character.isprintable() else "?" for character in text)


def table(drains: Sequence[Begun], now: datetime.datetime) -> Iterator[tuple[str, bool]]:
    """Return a header and a line per drain, and which drains are overdue."""
    rows = [row_of(drain, now) for drain in drains]
    lines = [HEAD, *(tuple(str(cell) for cell in msgspec.structs.astuple(row)[:-1]) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells, is_overdue in zip(lines, [False, *(row.is_overdue for row in rows)], strict=True):
        line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield line.rstrip(), is_overdue


def nothing(protected: int, namespaces: Collection[str], targets: Collection[Target]) -> str:
    """Report that there are no drains, with the number of pods, which reveals a wrong selection."""
    whose = f" of {', '.join(map(str, targets))}" if targets else ""
    where = f" in {', '.join(namespaces)}" if any(namespaces) else ""
    if not protected:
        return f"No drains: no protected pods{whose}{where}."
    return f"No drains: {pluralize(protected, 'protected pod')}{whose}{where}, none terminating."


def line_of(event: Begun | Ended, now: datetime.datetime) -> str:
    """Format a line for a drain that begins or ends."""
    pod = event.pod
    start = f"{_instant(now)} {pod.namespace}/{pod.name}"
    if isinstance(event, Begun):
        parts = [written(pod.owner), worker_of(pod), printable(event.cause), pod.node]
        return f"{start} drains: {', '.join(filter(None, parts))}; {_left(pod, now)}"
    return f"{start} {how(event)}"


def how(ended: Ended) -> str:
    """Describe how a drain ended."""
    if ended.end.outcome is Outcome.UNSEEN:
        return "is gone: the end of its worker was not observed"
    if ended.end.seconds is None:
        return f"{ended.end.outcome.value}; the start of its drain was not observed"
    return f"{ended.end.outcome.value} after {ended.end.seconds:g} s of {ended.end.given} s"


def connection_line(outage: Outage | None, now: datetime.datetime) -> str:
    """Return the line for a lost or restored connection."""
    if outage is None:
        return f"{_instant(now)} the API server responds again"
    return f"{_instant(now)} no connection to the API server since {_instant(_since(outage, now))}: {outage.reason}"


def outage_in_words(outage: Outage, now: datetime.datetime) -> str:
    """Return the sentence for output that is out of date."""
    since, long = f"{_since(outage, now):%H:%M:%S} UTC", span(round(outage.seconds))
    return f"No connection to the API server since {since} ({long}), the table is as of then: {outage.reason}"


def connection_event(outage: Outage | None, now: datetime.datetime) -> dict[str, Any]:
    """Return a lost or restored connection as JSON."""
    if outage is None:
        return {"event": "connected", "time": _instant(now)}
    since = _instant(_since(outage, now))
    return {"event": "disconnected", "time": _instant(now), "since": since, "reason": outage.reason}


def _since(outage: Outage, now: datetime.datetime) -> datetime.datetime:
    return now - datetime.timedelta(seconds=outage.seconds)


def as_object(drains: Sequence[Begun], now: datetime.datetime, context: str | None, protected: int) -> dict[str, Any]:
    """Return the current state as JSON: codes are stable, sentences are not."""
    return {
        "context": context,
        "time": _instant(now),
        "protectedPods": protected,
        "drains": [_drain(drain, now) for drain in drains],
    }


def as_event(event: Begun | Ended, now: datetime.datetime) -> dict[str, Any]:
    """Return a drain that begins or ends, as JSON."""
    if isinstance(event, Begun):
        return {"event": "begun", "time": _instant(now), **_drain(event, now)}
    end = event.end
    return {
        "event": "ended",
        "time": _instant(now),
        **_pod(event),
        "outcome": end.outcome.value,
        "seconds": end.seconds,
        "sidecarSeconds": end.sidecar_seconds,
    }


def _drain(drain: Begun, now: datetime.datetime) -> dict[str, Any]:
    left = left_of(drain.pod, now)
    return {**_pod(drain), "drainingSeconds": used_of(drain.pod, now), "leftSeconds": left, "overdue": left < 0}


def _pod(event: Begun | Ended) -> dict[str, Any]:
    pod = event.pod
    return {
        "namespace": pod.namespace,
        "pod": pod.name,
        "uid": pod.uid,
        "owner": {"apiVersion": pod.owner.api_version, "kind": pod.owner.kind, "name": pod.owner.name},
        "workers": {name: {"mode": each.mode, "framework": each.framework} for name, each in pod.workers.items()},
        "cause": event.cause,
        "begun": _instant(pod.begun),
        "deadline": _instant(pod.deadline),
        "periodSeconds": pod.period,
        "gracePeriodSeconds": pod.grace,
        "node": pod.node,
    }


def _instant(time: datetime.datetime) -> str:
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
