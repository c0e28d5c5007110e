"""The reference pages' generated parts: what the program says of its reasons, metrics and commands."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from itertools import chain

import click
from prometheus_client.metrics_core import Metric

from certs.metrics import CertificateMetrics
from webhook.cli.commands import main
from webhook.core.reasons import Kind, Reason
from webhook.drains.tracker import Tracker
from webhook.server.load_shedding import LoadShedder
from webhook.server.metrics import Metrics
from webhook.watch.event_aggregator import EventAggregator
from webhook.watch.metrics import DrainCollector, WatchCollector
from webhook.watch.statistics import DrainStatistics

SUFFIXES = {"counter": "_total"}
"""What Prometheus sees behind the name of a metric, by its type."""
FIRST_METRICS = ("graceful_worker_review", "graceful_worker_eviction")


def reasons(kind: str) -> str:
    """Return all reasons of a kind."""
    rows = (f"| `{reason.code}` | {_cell(reason.sentence)} |" for reason in Reason if reason.kind is Kind(kind))
    return "\n".join(["| code | sentence |", "|---|---|", *rows])


def webhook_metrics() -> str:
    """Return the metrics of `graceful-worker serve`."""
    families = Metrics(CertificateMetrics(), LoadShedder(1, 1)).collect()
    # Reviews and evictions first: they are what the webhook is for.
    return _metrics(sorted(families, key=lambda family: not family.name.startswith(FIRST_METRICS)))


def watch_metrics() -> str:
    """Return the metrics of `graceful-worker watch`."""
    now = datetime.datetime.now(datetime.UTC)
    drains = DrainCollector(Tracker(), DrainStatistics(), lambda: now)
    watch = WatchCollector(Tracker(), {}, EventAggregator(), now)
    return _metrics(chain(drains.collect(), watch.collect()))


def _metrics(families: Iterable[Metric]) -> str:
    return "\n".join(["| metric | type | labels | meaning |", "|---|---|---|---|", *map(_metric_row, families)])


def _metric_row(family: Metric) -> str:
    labels: Iterable[str] = getattr(family, "_labelnames", ())
    name = family.name + SUFFIXES.get(family.type, "")
    named = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name}` | {family.type} | {named} | {_cell(family.documentation)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def commands() -> str:
    """Return the help of every command."""
    return "\n".join(_help(main, "graceful-worker", 2)).rstrip()


def _help(command: click.Command, name: str, level: int, parent: click.Context | None = None) -> Iterator[str]:
    word = name.rpartition(" ")[2]
    options = {**command.context_settings, "terminal_width": 100}
    context = click.Context(command, info_name=word, parent=parent, **options)
    yield from ("#" * level + f" {name}", "", "```text", command.get_help(context), "```", "")
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            child = command.get_command(context, each)
            assert child is not None
            yield from _help(child, f"{name} {each}", level + (level == 2), context)
