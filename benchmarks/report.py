"""docs/performance.md, written from the results of a run: `python -m benchmarks.report RESULTS DOCUMENT PICTURE`."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from benchmarks.cpu_breakdown import BASELINE
from benchmarks.drain_wakeups import CONTAINERS
from benchmarks.drain_wakeups import FILE as WAITING
from benchmarks.goals import BARE, OURS, TUTORIAL, Goal, Results, goals, middle, runs
from benchmarks.reviews import ALIKE, RELEASE, UNLIKE
from benchmarks.tables import number, table

HERE = Path(__file__).parent
CONNECTIONS = (1, 8, 32)

_INTRODUCTION = """\
How fast one replica is on one core, compared to other servers on the same core. Each server is started in turn. Its
answers to {count} different AdmissionReviews are verified (the uid, the patch, and the patched pod). Then the other
core drives it: TLS 1.3, HTTP/1.1 with keep-alive, reviews of 11.7 KB about a pod with three containers. The tables show
the median of {rounds} runs of {seconds} s by {driver}. The webhook runs as it is shipped: with the command of the
image, and its log (a line for each review) in a file. All traffic is on loopback."""

_PEERS = """\
`CPU` is the server's processor time for one request, including the kernel. `memory` is the memory of all its
processes. `start` is the time from the start of the process to its first answer. The bare ASGI server and nginx read
the request and always send the same answer, so no server of their kind can be faster."""

_LIKENESS = """\
Every request has its own uid, and its pod has its own token volume. In the table above, each pod is otherwise like one
of 64 others, as in a rollout. The next table shows pods that have less in common (times and latencies at 1, 8 and 32
connections):"""
_SAID_OF_LIKENESS = {
    ALIKE: "alike, as in a rollout",
    RELEASE: "each the first of a new release",
    UNLIKE: "each from a template never seen",
}

_ELSEWHERE = """\
Measured elsewhere, on a machine of the same kind, and not run here:"""

_BREAKDOWN = """\
Processor time for one request at 8 connections, in microseconds, for a pod from a template that was never seen
before. The first four rows are the core, with each step called alone on the {count} reviews. *framework* is the
application around it, with routing, log and metrics. *TLS* is the share of OpenSSL. The last row is the rest. Before:
commit {before}. After: commit {after}."""

_SIZES = """\
Every byte of a pod is stored in etcd, and sent to each watch and to the kubelet. Bytes of JSON without spaces, with the
status annotation:"""

_WAITING = """\
How often the processes that are added to a pod wake up while its drain waits for a message, in {seconds:.0f} s
({date}, commit {commit}; `python -m benchmarks.drain_wakeups`). What the hook of a worker with children leaves behind
looks at them five times a second, because some programs wait for all their children before they exit:"""

_LARGE_CLUSTER = """\
With {pods} protected pods, of which {drains} drain. A stand-in for the API server sends pods as this version makes
them, in pages."""

_AGAIN = """\
On Debian 12, with `apt-get install $(cat benchmarks/debian-packages.txt)`:

```console
$ make bench
```

This took {minutes} minutes here. It needs two idle cores, and writes this file and its picture. `make bench QUICK=1`
takes a minute or two and shows that everything works; its document goes to `.local/bench/`. To run a part of it, or to
measure any other webhook by its command line and port:

```console
$ .venv/bin/python -m benchmarks --only comparison \\
    --webhook mine 9443 "/path/to/webhook --port 9443 --cert {{certificate}} --key {{key}}"
$ .venv/bin/python -m benchmarks.report .local/bench/results.json docs/performance.md performance.svg
```

`make test` checks the instruction counts if valgrind is installed. It has no test of time."""


def write(results: Results, picture: str) -> str:
    """Return the document without the parts that were not run."""
    parts = [
        "# Performance",
        _quick(results),
        *_of_comparison(results, picture),
        *_of_goals(goals(results)),
        *_of_breakdown(results),
        *_of_weight(results),
        *_of_pods(results),
        *_of_a_large_cluster(results),
        *_of_the_rest(results),
        "## What was tried",
        (HERE / "experiments.md").read_text(encoding="utf-8").strip(),
        "## Machine and versions",
        _machine(results),
        "## Run it again",
        _AGAIN.format(minutes=number(results["seconds"] / 60)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _quick(results: Results) -> str:
    return "**A quick run: it shows that all works, and its numbers say nothing.**" if results["quick"] else ""


def _of_comparison(results: Results, picture: str) -> list[str]:
    if "comparison" not in results:
        return []
    every = results["comparison"]["runs"]
    introduction = _INTRODUCTION.format(
        count=every[0]["verified"],
        rounds=1 + max(run["round"] for run in every),
        seconds=number(middle(every, "seconds")),
        driver=results["machine"]["driver"],
    )
    elsewhere = tomllib.loads((HERE / "external_results.toml").read_text(encoding="utf-8"))["webhook"]
    return [
        introduction,
        f"![Requests per second of each server]({picture})",
        "## Compared to others",
        _PEERS,
        _peers(results),
        _descriptions(results),
        _failures(every),
        _LIKENESS,
        _likeness(results),
        _ELSEWHERE,
        table(
            ["server", *(f"{n} connection{'s' * (n > 1)}: requests/s" for n in CONNECTIONS), "p99 at 1, 8, 32, ms"],
            [
                [f"{row['title']} ({row['language']})", *map(number, row["per_second"]), _joined(row["p99"])]
                for row in elsewhere
            ],
        ),
    ]


def _peers(results: Results) -> str:
    head = ["server", "connections", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU µs", "memory MiB", "start ms"]
    head += ["× tutorial", "× bare ASGI"]
    rows = []
    for who in results["comparison"]["contenders"]:
        for connections in CONNECTIONS:
            mine = runs(results, who["name"], connections)
            title = f"**{who['title']}**" if who["name"] == OURS else who["title"]
            keys = ("per_second", "p50", "p99", "p999", "processor_microseconds", "resident")
            cells = [title, str(connections), *(number(middle(mine, key)) for key in keys)]
            ratios = [_ratio(results, mine, other, connections) for other in (TUTORIAL, BARE)]
            rows.append([*cells, number(middle(mine, "start") * 1000), *ratios])
    return table(head, rows)


def _ratio(results: Results, mine: list[dict[str, Any]], other: str, connections: int) -> str:
    theirs = runs(results, other, connections)
    return number(middle(mine, "per_second") / middle(theirs, "per_second")) if theirs else ""


def _descriptions(results: Results) -> str:
    said = results["versions"]
    who = results["comparison"]["contenders"]
    return "\n".join(f"- {one['title']}: {one['what']} ({said.get(one['name']) or 'no version known'})" for one in who)


def _likeness(results: Results) -> str:
    """Compare the kinds of pods: our server, and every server given on the command line."""
    rows, keys = [], ("processor_microseconds", "p99")
    for who in results["comparison"]["contenders"]:
        for likeness, said in _SAID_OF_LIKENESS.items():
            mine = [runs(results, who["name"], connections, likeness) for connections in CONNECTIONS]
            # Servers without a cache were measured with one kind of pods only.
            if all(mine) and runs(results, who["name"], CONNECTIONS[0], UNLIKE):
                speeds = [number(middle(one, "per_second")) for one in mine]
                rows.append(
                    [who["title"], said, *speeds, *(_joined([middle(one, key) for one in mine]) for key in keys)]
                )
    head = ["server", "pods", *(f"{n} connection{'s' * (n > 1)}: requests/s" for n in CONNECTIONS)]
    return table([*head, "CPU µs", "p99 ms"], rows) if rows else ""


def _failures(every: list[dict[str, Any]]) -> str:
    failed = sum(run["failures"] for run in every)
    requests = sum(run["requests"] for run in every)
    tls = ", ".join(sorted({run["tls"] for run in every}))
    return f"{requests} requests, all over {tls}; {failed} failed."


def _of_goals(reached: list[Goal]) -> list[str]:
    rows = [
        [
            goal.what,
            f"{'≤' if goal.is_most else '≥'} {number(goal.bound)}",
            number(goal.reached),
            "yes" if goal.is_met else "**no**",
        ]
        for goal in reached
    ]
    return ["## Goals", table(["", "goal", "reached", "met"], rows)] if rows else []


def _of_breakdown(results: Results) -> list[str]:
    after = results.get("breakdown")
    if not after:
        return []
    before = json.loads(BASELINE.read_text(encoding="utf-8"))
    rows = [
        [stage, number(before["stages"].get(stage, 0)), number(after["stages"].get(stage, 0))]
        for stage in dict.fromkeys([*before["stages"], *after["stages"]])
    ]
    rows.append(["**whole request**", f"**{number(before['whole'])}**", f"**{number(after['whole'])}**"])
    rows.append(["of which in the kernel", number(before["kernel"]), number(after["kernel"])])
    rows.append(["whole request, for a pod like an earlier one", number(before["alike"]), number(after["alike"])])
    rows.append(["requests/s", number(before["per_second"]), number(after["per_second"])])
    text = _BREAKDOWN.format(count=64, before=before["commit"], after=after["commit"])
    return ["## Where the microseconds go", text, table(["stage", "before, µs", "after, µs"], rows)]


def _of_weight(results: Results) -> list[str]:
    weight = results.get("weight")
    if not weight:
        return []
    rows = [
        [
            str(row["containers"]),
            number(row["bytes"] / 1000),
            *(number(row[key]) for key in ("p50", "p99", "processor")),
        ]
        for row in [*weight["containers"], *weight["sizes"], weight["largest"]]
    ]
    alone, beside = weight["alone"], weight["beside"]
    return [
        "## Larger pods",
        "One connection, one review after the other, each from its own template.",
        table(["containers", "review, KB", "p50 ms", "p99 ms", "CPU ms"], rows),
        f"Small reviews over 8 connections have a p99 of {number(alone['p99'])} ms alone, and of "
        f"{number(beside['p99'])} ms while {weight['large_sent']} of the largest are sent between them in "
        f"{number(beside['seconds'])} s.",
    ]


def _of_pods(results: Results) -> list[str]:
    """Show the cost of protection for a pod: bytes, and wake-ups during a drain, which are measured separately."""
    said = []
    if sizes := results.get("size"):
        said += [_SIZES, table(["pod", "bytes more"], [[kind, number(size)] for kind, size in sizes.items()])]
    if WAITING.exists():
        waiting = json.loads(WAITING.read_text(encoding="utf-8"))
        rows = [
            [kind, *(number(found[name]["wake_ups"]) for name in CONTAINERS)]
            for kind, found in waiting["kinds"].items()
        ]
        said += [_WAITING.format(**waiting), table(["worker", "worker's container", "sidecar's container"], rows)]
    return ["## What a protected pod costs", *said] if said else []


def _of_a_large_cluster(results: Results) -> list[str]:
    cluster = results.get("large_cluster")
    if not cluster:
        return []
    rows = [
        [f"`graceful-worker {command}`", *(number(row[key]) for key in ("seconds", "processor", "peak"))]
        for command, row in cluster["rows"].items()
    ]
    return [
        "## In a large cluster",
        _LARGE_CLUSTER.format(pods=cluster["pods"], drains=cluster["drains"]),
        table(["", "s", "CPU s", "most memory, MiB"], rows),
    ]


def _of_the_rest(results: Results) -> list[str]:
    said = []
    if startup := results.get("startup"):
        imports = ", ".join(f"{name} {number(ms)}" for name, ms in startup["imports"].items())
        starts = f"{number(min(startup['seconds']) * 1000)} to {number(max(startup['seconds']) * 1000)} ms"
        said.append(
            f"- **Start**: {starts} in {len(startup['seconds'])} starts. Imports, in ms of their own: {imports}."
        )
    if soaked := results.get("soak"):
        first, last = soaked["resident"][0][1], soaked["resident"][-1][1]
        line = f"{soaked['requests']} requests in {number(soaked['seconds'])} s, {soaked['failures']} failed: "
        said.append(f"- **Memory**: {line}{number(first)} MiB before, {number(last)} MiB after.")
    if bursts := results.get("burst"):
        lasts = ", ".join(number(burst["last"]) for burst in bursts)
        answered = ", ".join(str(burst["answered"]) for burst in bursts)
        said.append(
            f"- **500 new TLS connections at once**, a pod each: {answered} answered, the last after {lasts} s."
        )
    if pauses := results.get("pauses"):
        rows = ", ".join(
            f"{g['count']} of generation {n} (longest {number(g['longest'])} ms)"
            for n, g in pauses["generations"].items()
        )
        said.append(f"- **Garbage collections** in {pauses['requests']} requests: {rows}.")
    if wrapper := results.get("wrapper"):
        rows = ", ".join(f"{shell} {number(ms['wrapped'] - ms['bare'])} ms" for shell, ms in wrapper["shells"].items())
        said.append(f"- **The wrapper** adds to each message, against a bare `while` in the same shell: {rows}.")
        waits = ", ".join(
            f"{mode} mode {number(m['processor'])} ms and {m['wake_ups']} wake-ups in {number(m['seconds'])} s"
            for mode, m in wrapper["waiting"].items()
        )
        said.append(f"- **The wrapper while it waits** for a message: {waits}.")
    if counted := results.get("instructions"):
        said.append(
            f"- **Instructions** for a review, on the pure path: {counted['reviews']}, "
            f"{number(counted['ratio'])} times the yardstick's; more than {number(counted['limit'])} fails a test "
            "(`benchmarks/instructions.py`)."
        )
    return ["## Start, memory, bursts, pauses, the wrapper", "\n".join(said)] if said else []


def _machine(results: Results) -> str:
    rows = [[what, str(value)] for what, value in results["machine"].items()]
    return table(["", ""], rows)


def _joined(numbers: list[float]) -> str:
    return ", ".join(map(number, numbers))


if __name__ == "__main__":
    source, document, drawing = sys.argv[1:]
    Path(document).write_text(write(json.loads(Path(source).read_text()), drawing), encoding="utf-8")
