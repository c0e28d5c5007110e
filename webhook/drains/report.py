"""The output of `drains`: a table, a line per event, JSON."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from webhook.core.formatting import pluralize
from webhook.drains.durations import format_duration
from webhook.drains.health import Outage
from webhook.drains.outcome import Outcome
from webhook.drains.pods import DrainingPod
from webhook.drains.targets import Target, kubectl_name
from webhook.drains.tracker import DrainEnded, DrainEvent, DrainStarted

HEADER = ("NAMESPACE", "POD", "OWNER", "WORKER", "CAUSE", "DRAINING FOR", "LEFT", "NODE")


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


def seconds_left(pod: DrainingPod, now: datetime.datetime) -> int:
    """Return the whole seconds until the deadline, at most the full period; negative after the deadline."""
    return min(round((pod.deadline - now).total_seconds()), pod.period)


def seconds_used(pod: DrainingPod, now: datetime.datetime) -> int:
    """Return the whole seconds since the deletion."""
    return pod.period - seconds_left(pod, now)


def table_row(drain: DrainStarted, now: datetime.datetime) -> Row:
    """Return the row of a drain at a moment."""
    pod = drain.pod
    return Row(
        pod.namespace,
        pod.name,
        printable(kubectl_name(pod.owner)),
        worker_text(pod.framework, pod.mode),
        printable(drain.cause),
        format_duration(seconds_used(pod, now)),
        _left_text(pod, now),
        pod.node or "-",
        seconds_left(pod, now) < 0,
    )


def worker_text(framework: str, mode: str) -> str:
    """Format framework and mode."""
    return printable(" ".join(filter(None, [framework, f"({mode})" if mode else ""]))) or "-"


def _left_text(pod: DrainingPod, now: datetime.datetime) -> str:
    left = seconds_left(pod, now)
    if left < 0:
        return f"OVERDUE by {format_duration(-left)}"
    cut = f", cut from {format_duration(pod.grace)}" if pod.is_cut else ""
    return f"{format_duration(left)} of {format_duration(pod.period)}{cut}"


def printable(text: str) -> str:
    """Replace terminal control characters: annotations and owners are whatever the pod's author wrote."""
    return "".join(character if character.isprintable() else "?" for character in text)


def table(drains: Sequence[DrainStarted], now: datetime.datetime) -> Iterator[tuple[str, bool]]:
    """Return a header and a line per drain, and which drains are overdue."""
    rows = [table_row(drain, now) for drain in drains]
    lines = align([HEADER, *(msgspec.structs.astuple(row)[:-1] for row in rows)])
    return zip(lines, [False, *(row.is_overdue for row in rows)], strict=True)


def align(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Return rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def no_drains_message(protected: int, namespaces: Collection[str], targets: Collection[Target]) -> str:
    """Report that there are no drains, with the number of pods, which reveals a wrong selection."""
    whose = f" of {', '.join(map(str, targets))}" if targets else ""
    where = f" in {', '.join(namespaces)}" if any(namespaces) else ""
    if not protected:
        return f"No drains: no protected pods{whose}{where}."
    return f"No drains: {pluralize(protected, 'protected pod')}{whose}{where}, none terminating."


def event_line(event: DrainEvent, now: datetime.datetime) -> str:
    """Format a line for a drain that starts or ends."""
    pod = event.pod
    start = f"{_timestamp(now)} {pod.namespace}/{pod.name}"
    if isinstance(event, DrainStarted):
        parts = [kubectl_name(pod.owner), worker_text(pod.framework, pod.mode), event.cause, pod.node]
        return f"{start} drains: {printable(', '.join(filter(None, parts)))}; {_left_text(pod, now)}"
    return f"{start} {outcome_text(event)}"


def outcome_text(ended: DrainEnded) -> str:
    """Describe how a drain ended."""
    if ended.result.outcome is Outcome.UNSEEN:
        return "is gone: the end of its worker was not observed"
    if ended.result.seconds is None:
        return f"{ended.result.outcome.value}; the start of its drain was not observed"
    return f"{ended.result.outcome.value} after {ended.result.seconds:g} s of {ended.result.effective_period} s"


def connection_line(outage: Outage | None, now: datetime.datetime) -> str:
    """Return the line for a lost or restored connection."""
    if outage is None:
        return f"{_timestamp(now)} the API server responds again"
    start = _timestamp(_outage_start(outage, now))
    return f"{_timestamp(now)} no connection to the API server since {start}: {outage.reason}"


def outage_message(outage: Outage, now: datetime.datetime) -> str:
    """Return the sentence about an outage, for a table that is out of date."""
    since, long = f"{_outage_start(outage, now):%H:%M:%S} UTC", format_duration(round(outage.seconds))
    return f"No connection to the API server since {since} ({long}), the table is as of then: {outage.reason}"


def connection_event(outage: Outage | None, now: datetime.datetime) -> dict[str, Any]:
    """Return a lost or restored connection as JSON."""
    if outage is None:
        return {"event": "connected", "time": _timestamp(now)}
    since = _timestamp(_outage_start(outage, now))
    return {"event": "disconnected", "time": _timestamp(now), "since": since, "reason": outage.reason}


def _outage_start(outage: Outage, now: datetime.datetime) -> datetime.datetime:
    return now - datetime.timedelta(seconds=outage.seconds)


def as_object(
    drains: Sequence[DrainStarted], now: datetime.datetime, context: str | None, protected: int
) -> dict[str, Any]:
    """Return the current state as JSON: codes are stable, sentences are not."""
    return {
        "context": context,
        "time": _timestamp(now),
        "protectedPods": protected,
        "drains": [_drain_object(drain, now) for drain in drains],
    }


def as_event(event: DrainEvent, now: datetime.datetime) -> dict[str, Any]:
    """Return a drain that starts or ends, as JSON."""
    if isinstance(event, DrainStarted):
        return {"event": "begun", "time": _timestamp(now), **_drain_object(event, now)}
    result = event.result
    return {
        "event": "ended",
        "time": _timestamp(now),
        **_fields(event),
        "outcome": result.outcome.value,
        "seconds": result.seconds,
        "sidecarSeconds": result.sidecar_seconds,
    }


def _drain_object(drain: DrainStarted, now: datetime.datetime) -> dict[str, Any]:
    left = seconds_left(drain.pod, now)
    return {**_fields(drain), "drainingSeconds": seconds_used(drain.pod, now), "leftSeconds": left, "overdue": left < 0}


def _fields(event: DrainEvent) -> dict[str, Any]:
    pod = event.pod
    return {
        "namespace": pod.namespace,
        "pod": pod.name,
        "uid": pod.uid,
        "owner": {"apiVersion": pod.owner.api_version, "kind": pod.owner.kind, "name": pod.owner.name},
        "workers": {name: {"mode": each.mode, "framework": each.framework} for name, each in pod.workers.items()},
        "cause": event.cause,
        "begun": _timestamp(pod.deleted_at),
        "deadline": _timestamp(pod.deadline),
        "periodSeconds": pod.period,
        "gracePeriodSeconds": pod.grace,
        "node": pod.node,
    }


def _timestamp(time: datetime.datetime) -> str:
    return time.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
