"""Simulates whether idle workers would be removed first: a Deployment of 20 workers is scaled down to 10.

    python -m benchmarks.idle_first [--write]

prints the tables of docs/design/idle-workers-first.md, or writes them there. Nothing is measured here: workers,
messages and the ReplicaSet controller are a model, and the same in every run. A victim in mid-message finishes it, as a
protected pod does; what counts is how often that is so, and how long its pod stays for it.
"""

from __future__ import annotations

import heapq
import math
import sys
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from random import Random
from statistics import NormalDist, fmean

from benchmarks.environment import ROOT
from benchmarks.tables import table

WORKERS, VICTIMS = 20, 10
SCALE_DOWNS = 2000
UTILISATIONS = (0.3, 0.6, 0.9)
DELAYS = (30.0, 330.0)
"""Delay of the scale-down: an autoscaler without a stabilization window, and one with the default of 300 s."""
GRACE_SECONDS = 3600.0
DOCUMENT = ROOT / "docs" / "design" / "idle-workers-first.md"


@dataclass(frozen=True, slots=True)
class Messages:
    """The distribution of message durations."""

    name: str
    mean: float
    longest: float
    draw: Callable[[Random], float]


def uniform(name: str, mean: float) -> Messages:
    """Return uniformly distributed durations, from half the mean to one and a half times it."""
    return Messages(name, mean, 1.5 * mean, lambda chance: mean * (0.5 + chance.random()))


def heavy_tail(median: float, tail: float, longest: float) -> Messages:
    """Return log-normally distributed durations, with a maximum."""
    uncut_mean, cut = median * math.exp(tail**2 / 2), math.log(longest / median) / tail
    below = NormalDist().cdf
    mean = uncut_mean * below(cut - tail) + longest * (1 - below(cut))
    return Messages(
        "heavy tail", mean, longest, lambda chance: min(chance.lognormvariate(math.log(median), tail), longest)
    )


MESSAGES = (
    uniform("1 s", 1),
    uniform("10 s", 10),
    uniform("60 s", 60),
    uniform("10 min", 600),
    heavy_tail(median=2, tail=2.15, longest=GRACE_SECONDS),
)
"""Of the last kind, half take less than 2 s, 1 % more than five minutes, none more than the grace period."""


LONG = [messages for messages in MESSAGES if messages.longest > DELAYS[0]]
"""Those with a message in progress when a queue's scaler scales down."""


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The age of the pods' deletion costs, in seconds; None without costs."""

    name: str
    age: Callable[[Random], float] | None


def sampled(seconds: float) -> Knowledge:
    """Return the knowledge from polling all workers at an interval."""
    return Knowledge(f"every {seconds:.0f} s", lambda chance: seconds * chance.random())


BLIND = Knowledge("blind", None)
FRESH = Knowledge("0.1 s old", lambda _: 0.1)
KNOWLEDGE = (BLIND, FRESH, Knowledge("1 s old", lambda _: 1.0), sampled(5), sampled(15), sampled(60))


@dataclass(slots=True)
class Worker:
    """One worker: the start and end of each of its messages."""

    begins: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def take(self, begin: float, seconds: float) -> float:
        """Process a message; return its end."""
        self.begins.append(begin)
        self.ends.append(begin + seconds)
        return begin + seconds

    def left(self, now: float) -> float:
        """Return the seconds until the message in progress ends; 0 if there is none."""
        last = bisect_right(self.begins, now) - 1
        return max(0.0, self.ends[last] - now) if last >= 0 else 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one scale-down."""

    busy: float
    """The share of removed pods with a message in progress."""
    last: float
    """Seconds until the last removed pod was gone."""
    held: float
    """The total seconds that removed pods stayed."""


def victims(busy: Sequence[bool], chance: Random) -> list[int]:
    """Choose as the ReplicaSet controller does among pods that differ only in deletion cost: by it, else at random."""
    ranked = sorted((known, chance.random(), index) for index, known in enumerate(busy))
    return [index for _, _, index in ranked[:VICTIMS]]


def scale_down(workers: Sequence[Worker], now: float, knowledge: Knowledge, chance: Random) -> Outcome:
    """Remove workers now."""
    then = now - knowledge.age(chance) if knowledge.age else -math.inf
    chosen = victims([worker.left(then) > 0 for worker in workers], chance)
    left = [workers[index].left(now) for index in chosen]
    return Outcome(sum(seconds > 0 for seconds in left) / VICTIMS, max(left), sum(left))


def steady(messages: Messages, utilisation: float, seconds: float, chance: Random) -> list[Worker]:
    """Simulate messages that arrive at random in one queue, from which idle workers take them."""
    workers = [Worker() for _ in range(WORKERS)]
    free, waiting, now = list(range(WORKERS)), 0, 0.0
    ends: list[tuple[float, int]] = []
    while now < seconds:
        now += chance.expovariate(WORKERS * utilisation / messages.mean)
        while ends and ends[0][0] <= now:
            end, index = heapq.heappop(ends)
            if waiting:
                waiting -= 1
                heapq.heappush(ends, (workers[index].take(end, messages.draw(chance)), index))
            else:
                free.append(index)
        if free:
            place = int(chance.random() * len(free))
            free[place], free[-1] = free[-1], free[place]
            index = free.pop()
            heapq.heappush(ends, (workers[index].take(now, messages.draw(chance)), index))
        else:
            waiting += 1
    return workers


@cache
def steady_outcomes(messages: Messages, utilisation: float, count: int = SCALE_DOWNS) -> dict[str, list[Outcome]]:
    """Scale down repeatedly while messages keep arriving."""
    chance = Random(f"{messages.name} {utilisation}")  # noqa: S311 - a model, the same in every run
    between = 3 * messages.mean
    begin = 60 + 20 * messages.mean + 2 * messages.longest
    workers = steady(messages, utilisation, begin + count * between, chance)
    moments = [begin + index * between for index in range(count)]
    return {k.name: [scale_down(workers, moment, k, chance) for moment in moments] for k in KNOWLEDGE}


def last_messages(messages: Messages, chance: Random, pool: Sequence[float], weights: Sequence[float]) -> list[Worker]:
    """Have all workers busy until second 0, when the queue has become empty.

    A message that is met in progress is a long one more often than not, so lengths are drawn by their weight.
    """
    workers = []
    for _ in range(WORKERS):
        worker = Worker()
        (length,) = chance.choices(pool, cum_weights=weights)
        # Earlier messages only matter because there were some.
        begin = -length * chance.random()
        worker.take(-GRACE_SECONDS, GRACE_SECONDS + begin)
        worker.take(begin, length)
        workers.append(worker)
    return workers


def half_done(workers: Sequence[Worker]) -> float:
    """Return when at most the remaining number of workers is busy."""
    return sorted(worker.ends[-1] for worker in workers)[VICTIMS - 1]


@cache
def queue_outcomes(
    messages: Messages, delay: float, *, in_work: bool, count: int = SCALE_DOWNS
) -> dict[str, list[Outcome]]:
    """Scale down so long after the queue is empty, or after the messages in work, too, are no more than 10."""
    chance = Random(f"{messages.name} {delay} {in_work}")  # noqa: S311 - as above
    pool = [messages.draw(chance) for _ in range(50_000)]
    weights = list(accumulate(pool))
    outcomes: dict[str, list[Outcome]] = {knowledge.name: [] for knowledge in KNOWLEDGE}
    for _ in range(count):
        workers = last_messages(messages, chance, pool, weights)
        moment = delay + (half_done(workers) if in_work else 0.0)
        for knowledge in KNOWLEDGE:
            outcomes[knowledge.name].append(scale_down(workers, moment, knowledge, chance))
    return outcomes


def format_seconds(seconds: float) -> str:
    """Format seconds, no more precisely than the model."""
    return f"{seconds:.1f}" if 0 < seconds < 10 else f"{seconds:.0f}"


def cells(outcomes: dict[str, list[Outcome]]) -> Iterator[str]:
    """Format, for each kind of knowledge, the share of removed pods with a message, and when the last was gone."""
    for some in outcomes.values():
        yield f"{100 * fmean(o.busy for o in some):.0f} % · {format_seconds(fmean(o.last for o in some))} s"


def steady_row(messages: Messages, utilisation: float) -> list[str]:
    """Format a row of the first table."""
    return [messages.name, f"{100 * utilisation:.0f} %", *cells(steady_outcomes(messages, utilisation))]


def queue_row(messages: Messages, delay: float, *, in_work: bool) -> list[str]:
    """Format a row of the third table."""
    since = f"{VICTIMS} are in work" if in_work else "the queue is empty"
    row = cells(queue_outcomes(messages, delay, in_work=in_work))
    return [messages.name, f"{delay:.0f} s after {since}", *row]


def sooner_row(messages: Messages, *, in_work: bool) -> list[str]:
    """Format the seconds from the autoscaler's decision until the ten pods are gone."""
    (quick, *_, slow), between = DELAYS, 90.0
    row = [messages.name, f"{VICTIMS} are in work" if in_work else "the queue is empty"]
    for delay, knowledge in ((slow, BLIND), (slow, FRESH), (between, BLIND), (quick, BLIND)):
        some = queue_outcomes(messages, delay, in_work=in_work)[knowledge.name]
        row.append(format_seconds(VICTIMS * delay + fmean(outcome.held for outcome in some)))
    return row


def saved_row(messages: Messages) -> list[str]:
    """Format how many pod-seconds a scale-down saves at most, for each utilisation."""
    row = [messages.name]
    for utilisation in UTILISATIONS:
        outcomes = steady_outcomes(messages, utilisation)
        blind, fresh = (fmean(o.held for o in outcomes[k.name]) for k in (BLIND, FRESH))
        row.append(f"{format_seconds(blind)} → {format_seconds(fresh)}")
    return row


def tables() -> dict[str, str]:
    """Return the tables by their names in the document."""
    names = [knowledge.name for knowledge in KNOWLEDGE]
    return {
        "steady": table(["messages", "busy", *names], [steady_row(m, u) for m in MESSAGES for u in UTILISATIONS]),
        "saved": table(
            ["messages", *(f"{100 * u:.0f} % busy" for u in UTILISATIONS)], [saved_row(m) for m in MESSAGES]
        ),
        "queue": table(
            ["messages", "scale-down", *names],
            [queue_row(m, delay, in_work=in_work) for in_work in (False, True) for m in LONG for delay in DELAYS],
        ),
        "sooner": table(
            ["messages", "since", "330 s, blind", "330 s, 0.1 s old", "90 s, blind", "30 s, blind"],
            [sooner_row(m, in_work=in_work) for in_work in (False, True) for m in LONG],
        ),
    }


def with_tables(text: str, made: dict[str, str]) -> str:
    """Write the tables between their markers in the document."""
    for name, lines in made.items():
        head, begin, rest = text.partition(f"<!-- begin: {name} -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        if not end:
            raise SystemExit(f"{DOCUMENT.name} has no place for the table {name}")
        text = f"{head}{begin}{lines}\n{end}{tail}"
    return text


def main() -> None:
    """Print the tables, or write them into the document."""
    made = tables()
    if "--write" not in sys.argv[1:]:
        print("\n\n".join(made.values()))
        return
    DOCUMENT.write_text(with_tables(DOCUMENT.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main()
