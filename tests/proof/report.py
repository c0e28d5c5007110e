"""Write docs/proof.md from the results of the matrix: `python -m tests.proof.report RESULTS`."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tests.proof.cell import LONG
from tests.proof.results import EXIT_BOUND, LOOP_BOUND
from tests.proof.scenarios import SCENARIOS, Scenario
from tests.proof.versions import versions
from tests.proof.workers import Worker, all_workers
from webhook import __version__

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "proof.md"
OTHER_REPORT = "## No worse than bare\n"
Results = list[dict[str, Any]]


def write(results: Results) -> str:
    """Return the document."""
    workers = [worker for worker in all_workers() if any(r["worker"] == worker.name for r in results)]
    protected = [r for r in results if r["protected"]]
    unpatched = [r for r in results if not r["protected"]]
    cells = len({(r["worker"], r["scenario"]) for r in protected})
    rounds = len(protected) // cells
    broken = [r for r in protected if r["broken"]]
    parts = [
        "# Proof: no message is lost or repeated",
        _INTRODUCTION.format(workers=len(workers), scenarios=len(SCENARIOS), rounds=rounds, grace=4, long=f"{LONG:g}"),
        "## Summary",
        "<!-- begin: summary -->\n" + _summary(workers, unpatched, protected) + "\n<!-- end -->",
        _verdict(broken, cells, rounds),
        "![A rollout, unpatched and patched](rollout.svg)",
        "## Every cell",
        _EVERY_CELL.format(loop=f"{LOOP_BOUND * 1000:g}", exit=f"{EXIT_BOUND:g}"),
        *(_of_worker(worker, unpatched, protected) for worker in workers),
        "## What is counted, and how",
        _DEFINITIONS,
        "## Versions",
        _versions(workers),
        "## Run it again",
        _AGAIN,
    ]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
{workers} workers, of real frameworks but for two, each with the command line that its own documentation recommends,
run in {scenarios} scenarios of how Kubernetes ends a pod. Each pod is sent through the running webhook over HTTPS, and
runs in containers of crun under the kubelet's rules (`tests/node`). Every job writes a line to a ledger when it starts
and when it ends. The unpatched pod goes through the same scenarios.

The unpatched pod's grace period of {grace} s stands for the usual 30 s. Messages of {long} s stand for messages that
take longer than that. The patched cells ran {rounds} times. The tables show the sum of all losses and the longest of
all times."""

_EVERY_CELL = """\
*lost*, *repeated* and *missing*: unpatched → patched. Times are in seconds, of the patched pod:

- *deletion → end*: from the deletion to the worker's end
- *message → end*: from the end of the last message to the worker's end
- *→ sidecar*: from the worker's end to the sidecar's end
- *restart*: from a failed liveness probe to the container's end

The bounds: in loop mode the worker ends within {loop} ms after its last message (in signal mode the framework takes its
own time, at most {exit} s). The sidecar ends within 1 s after the worker, or within 30 s after a worker that was
killed. A sidecar's own restart takes at most 5 s. An idle worker in loop mode ends within its time limit plus 1 s (and
1 s for its own start, if it has just started). No pod waits for the end of its grace period."""

_DEFINITIONS = """\
- **lost**: a job that started and did not end while the scenario was watched. Some frameworks deliver such a job again,
  an hour later or by hand. The work is then done twice.
- **repeated**: a job that ended more than once.
- **missing**: a job that never started although workers were idle at the end. A worker that was killed had fetched it.
- A job that a worker started and did not end counts against the patched pod, even if another worker has handled it
  since.
- If the scenario itself kills a worker (SIGKILL), the jobs that it was handling or had fetched are not counted, patched
  or not: nothing in a pod can save them. Jobs that crash their worker on purpose are not counted either.
- The node is not a kubelet. It starts and ends containers faster, because it has no reaction time of its own.
  `tests/node/__init__.py` says what it leaves out. `make e2e-cluster` runs the scenarios in a real cluster."""

_AGAIN = """\
As root on Debian 12 or Ubuntu 24.04, with the packages in `tests/proof/debian-packages.txt`:

```console
$ make busybox-static proof
```

This takes about 45 minutes on two cores, and writes this file and the picture. To run a part of it:

```console
$ .venv/bin/python -m tests.proof --worker celery --scenario rollout
```"""


def _summary(workers: list[Worker], unpatched: Results, protected: Results) -> str:
    """Return a row per scenario: the messages that workers lose without the webhook, and with it."""
    rows = []
    for scenario in SCENARIOS:
        before, after = (_of(results, scenario) for results in (unpatched, protected))
        ran = [w for w in workers if any(r["worker"] == w.name for r in before)]
        losers = [w.title for w in ran if sum(map(_damage, (r for r in before if r["worker"] == w.name)))]
        held = _longest(after, "sidecar") if scenario.sidecar_bound else "not held"
        who = "all" if losers and len(losers) == len(ran) else ", ".join(losers) or "none"
        rows.append([scenario.title, _sum(before, _damage), who, _sum(after, _damage), held])
    total = ["**all**", f"**{_sum(unpatched, _damage)}**", "", f"**{_sum(protected, _damage)}**", ""]
    head = [
        "scenario",
        "messages lost or repeated, unpatched",
        "by the workers of",
        "with graceful-worker",
        "sidecar leaves after the worker, s",
    ]
    return _table(head, [*rows, total])


def _damage(result: dict[str, Any]) -> int:
    balance = result["balance"]
    return len(balance["lost"]) + len(balance["repeated"]) + len(balance["missing"])


def _of(results: Results, scenario: Scenario) -> Results:
    return [r for r in results if r["scenario"] == scenario.name]


def _sum(results: Iterable[dict[str, Any]], number: Callable[[dict[str, Any]], int]) -> str:
    return str(sum(map(number, results)))


def _count(results: Results, kind: str) -> str:
    return _sum(results, lambda r: len(r["balance"][kind]))


def _longest(results: Results, time: str) -> str:
    numbers = [r[time] for r in results if r[time] is not None]
    return f"{max(numbers):.2f}" if numbers else ""


def _verdict(broken: Results, cells: int, rounds: int) -> str:
    if not broken:
        return f"{cells} patched cells, {rounds} rounds: 0 lost, 0 repeated, 0 missing, and every bound was kept."
    lines = [f"- {r['worker']}, {r['scenario']}: {'; '.join(r['broken'])}" for r in broken]
    return "\n".join([f"Of {cells} patched cells in {rounds} rounds, {len(broken)} broke a bound:", "", *lines])


def _of_worker(worker: Worker, unpatched: Results, protected: Results) -> str:
    mine = [r for r in protected if r["worker"] == worker.name]
    mode = mine[0]["mode"]
    rows = []
    for scenario in SCENARIOS:
        before = _of([r for r in unpatched if r["worker"] == worker.name], scenario)
        after = _of(mine, scenario)
        if not after:
            continue
        counts = [
            f"{_count(before, kind)} → {_count(after, kind)}" if before else _count(after, kind)
            for kind in ("lost", "repeated", "missing")
        ]
        times = [_longest(after, kind) for kind in ("drain", "after_message", "sidecar", "restart")]
        rows.append([scenario.title, *counts, *times])
    head = ["scenario", "lost", "repeated", "missing", "deletion → end", "message → end", "→ sidecar", "restart"]
    annotations = "".join(f", `{name}: {value}`" for name, value in worker.annotations.items())
    command = f"`{' '.join(worker.command)}` ([documentation]({worker.documentation})), {mode} mode{annotations}"
    parts = [f"### {worker.title}", command, _table(head, rows), _left_out(worker)]
    return "\n\n".join(part for part in parts if part)


def _left_out(worker: Worker) -> str:
    """Return a list of the cells that were left out, with the reasons."""
    lines = [f"- {s.title}: {worker.left_out[s.name]}." for s in SCENARIOS if s.name in worker.left_out]
    lines += [f"- The unpatched pod: {worker.left_out_unpatched}."] if worker.left_out_unpatched else []
    return "\n".join(["Left out:", "", *lines]) if lines else ""


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _versions(workers: list[Worker]) -> str:
    lines = [f"- graceful-worker {__version__}", *(f"- {line}" for line in dict.fromkeys(versions(workers)))]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}"
    return "\n".join([*lines, f"- {machine}", f"- {datetime.datetime.now(tz=datetime.UTC):%d %B %Y}"])


def _kept(document: str) -> str:
    """Return the part of the document that another report has written: the comparison with bare pods."""
    _, heading, rest = document.partition(OTHER_REPORT)
    return f"\n{heading}{rest}" if heading else ""


if __name__ == "__main__":
    DOCUMENT.write_text(write(json.loads(Path(sys.argv[1]).read_text())) + _kept(DOCUMENT.read_text()))
