"""`python -m tests.proof`: run the matrix, or a part of it, and write the results as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from tests.proof.matrix import Task, refusal, run, running_admission
from tests.proof.results import Result
from tests.proof.scenarios import SCENARIOS
from tests.proof.workers import all_workers


@click.command()
@click.option("--worker", "workers", multiple=True, help="Only this worker; may be given several times.")
@click.option("--scenario", "scenarios", multiple=True, help="Only this scenario; may be given several times.")
@click.option("--only", type=click.Choice(["protected", "unprotected"]), help="Only these pods.")
@click.option("--rounds", default=1, show_default=True, help="How often the protected cells are run.")
@click.option("--at-once", default=4, show_default=True, help="How many cells run at once.")
@click.option("--results", type=click.Path(path_type=Path), help="Where to write the results.")
def main(
    workers: tuple[str, ...],
    scenarios: tuple[str, ...],
    only: str | None,
    rounds: int,
    at_once: int,
    results: Path | None,
) -> None:
    """Run the matrix of workers and scenarios."""
    reason = refusal()
    if reason:
        sys.exit(f"The proof cannot run here: {reason}.")
    known = [worker for worker in all_workers() if worker.name in workers or not workers]
    for worker in known:
        if worker.missing():
            sys.exit(f"The proof cannot run here: {worker.missing()}.")
    wanted = [s.name for s in SCENARIOS if s.name in scenarios or not scenarios]
    unpatched, patched = (
        [Task(w.name, s, protected=protected) for s in wanted for w in known if w.runs(s, protected=protected)]
        for protected in (False, True)
    )
    tasks = unpatched if only != "protected" else []
    tasks += patched * rounds if only != "unprotected" else []
    begin = time.monotonic()
    done: list[Result] = []
    with running_admission() as admission:
        for result in run(tasks, admission, at_once):
            done.append(result)
            click.echo(f"{len(done):3}/{len(tasks)}  {describe(result)}")
    click.echo(f"{len(done)} cells in {time.monotonic() - begin:.0f} s")
    if results:
        results.write_text(json.dumps([result.as_json() for result in done]))
    broken = [result for result in done if result.broken]
    for result in broken:
        click.echo(f"{result.worker}, {result.scenario}: {'; '.join(result.broken)}", err=True)
    sys.exit(1 if broken else 0)


def describe(result: Result) -> str:
    """Return a line with a cell's result."""
    count = result.balance
    kind = result.mode if result.protected else "unpatched"
    times = "  ".join(
        f"{name} {seconds:.2f}"
        for name, seconds in (
            ("drain", result.drain),
            ("after message", result.after_message),
            ("sidecar", result.sidecar),
            ("restart", result.restart),
        )
        if seconds is not None
    )
    numbers = f"lost {len(count.lost):2}  repeated {len(count.repeated):2}  missing {len(count.missing):2}"
    error = f"  ERROR {result.error}" if result.error else ""
    return f"{result.worker:9} {result.scenario:17} {kind:9}  {numbers}  {times}{error}"


if __name__ == "__main__":
    main()
