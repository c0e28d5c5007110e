"""`python -m tests.harm`: run all or some cases, print what is worse, and write the table."""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

import click

from tests.harm import report
from tests.harm.case import all_cases
from tests.harm.images import SHELLS
from tests.harm.matrix import AT_ONCE, Result, missing, refusal, run_all
from tests.harm.run import Record


@click.command()
@click.option(
    "--case", "names", multiple=True, help="Only cases whose name has this in it; may be given several times."
)
@click.option("--shell", "shells", multiple=True, type=click.Choice(SHELLS), help="Only this shell.")
@click.option("--at-once", default=AT_ONCE, show_default=True, help="How many runs go on at once.")
@click.option("--once", is_flag=True, help="Run what comes out worse no second time.")
@click.option("--verbose", is_flag=True, help="Show journals and what the product said.")
@click.option("--results", type=click.Path(path_type=Path), help="Where to write the results as JSON.")
@click.option("--document", type=click.Path(path_type=Path), help="The Markdown file that has the table's markers.")
def main(
    names: tuple[str, ...],
    shells: tuple[str, ...],
    at_once: int,
    once: bool,
    verbose: bool,
    results: Path | None,
    document: Path | None,
) -> None:
    """Run the cases, bare and patched."""
    if refusal():
        sys.exit(f"The cases cannot run here: {refusal()}.")
    cases = [case for case in all_cases() if not names or any(name in case.name for name in names)]
    for case in cases:
        if missing(case):
            click.echo(f"left out: {case.name}: {missing(case)}", err=True)
    begin = time.monotonic()
    show = partial(_show, verbose=verbose)
    done = list(run_all(cases, shells or SHELLS, at_once=at_once, again=not once, show=show).values())
    worse = [result for result in done if result.worse]
    saved = sum(result.attempt > 1 for result in done) - (0 if once else len(worse))
    seconds = time.monotonic() - begin
    click.echo(f"{len(done)} comparisons in {seconds:.0f} s: {len(worse)} worse, {saved} only at first")
    if results:
        results.write_text(report.as_json(done))
    if document:
        report.write(document, done)
    sys.exit(1 if worse else 0)


def _show(result: Result, *, verbose: bool) -> None:
    word = "worse" if result.worse else "ok" if result.attempt == 1 else "ok(2)"
    click.echo(f"{word:5} {result.case.name:34} {result.shell:8} {_line(result.bare)} | {_line(result.patched)}")
    for sentence in result.worse:
        click.echo(f"        {sentence}")
    if verbose:
        for kind, record in (("bare", result.bare), ("patched", result.patched)):
            click.echo(f"        {kind}: {'; '.join(record.lines)}")
            click.echo(f"        {kind} printed: {record.output!r}")
        for sentence in result.patched.said:
            click.echo(f"        said: {sentence}")


def _line(record: Record) -> str:
    if record.untouched:
        return "untouched"
    codes = ",".join(map(str, record.exit_codes))
    return f"cut {record.cut} begun {record.begun} {record.seconds:5.2f} s code {codes or '-'}"


if __name__ == "__main__":
    main()
