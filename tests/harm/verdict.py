"""Compare two records: where the patched pod is worse than the bare one, or not as good as the case expects."""

from __future__ import annotations

from collections.abc import Iterator

from tests.harm.case import Case
from tests.harm.run import Record

SLACK = 1.5
"""Seconds by which everything may be later, because of hooks that run and of a busy machine."""
SIGNALLED = 128
SET_BY_BASH = ("_=",)
"""Variables that bash always sets for every process that it starts."""


def verdict(case: Case, bare: Record, patched: Record) -> list[str]:
    """Return what is worse, as sentences; an empty list if nothing is."""
    if patched.untouched:
        patched = bare
    wrong = [f"the {kind} run: {r.error}" for kind, r in (("bare", bare), ("patched", patched)) if r.error]
    if wrong:
        return wrong
    columns = {
        "cut": _cut,
        "begun": _begun,
        "seconds": _seconds,
        "environment": _environment,
        "signals": _signals,
        "exit code": _exit_code,
        "after": _after,
        "restart": _restart,
    }
    compared = (column(case, bare, patched) for name, column in columns.items() if name not in case.unfit)
    return [*(sentence for sentences in compared for sentence in sentences), *_expected(case, bare, patched)]


def _cut(case: Case, bare: Record, patched: Record) -> Iterator[str]:
    if patched.cut > bare.cut:
        yield f"{patched.cut} messages cut, bare {bare.cut}"


def _begun(case: Case, bare: Record, patched: Record) -> Iterator[str]:
    if patched.begun > bare.begun:
        yield f"{patched.begun} messages begun in the drain, bare {bare.begun}"


def _seconds(case: Case, bare: Record, patched: Record) -> Iterator[str]:
    """Compare the ends: the patched pod may end later for messages that it finishes and the bare one also began."""
    needed = patched.last_end if not patched.cut and patched.begun <= bare.begun else 0
    if patched.seconds > max(bare.seconds, needed) + SLACK:
        yield f"gone after {patched.seconds:.1f} s, bare {bare.seconds:.1f} s"


def _environment(case: Case, bare: Record, patched: Record) -> Iterator[str]:
    for name in bare.starts.keys() & patched.starts.keys():
        before, after = set(bare.starts[name].environment), set(patched.starts[name].environment)
        lost, new = (
            sorted(e for e in some if not e.startswith(SET_BY_BASH)) for some in (before - after, after - before)
        )
        if lost or new:
            yield f"the environment of {name} lacks {lost} and has {new}"


def _signals(case: Case, bare: Record, patched: Record) -> Iterator[str]:
    for name in bare.starts.keys() & patched.starts.keys():
        before, after = bare.starts[name].signals, patched.starts[name].signals
        if before != after:
            yield f"{name} started with {after}, bare {before}"


def _exit_code(case: Case, bare: Record, patched: Record) -> Iterator[str]:
    """Compare the exit codes, if the bare container ended by itself."""
    code, was = (list(record.exit_codes[-1:]) for record in (patched, bare))
    if case.job and code == [0] and was != [0] and (patched.cut or not _count(patched, "end ")):
        yield "the Job counts as succeeded, with its work undone"
    elif not bare.killed and patched.cut == bare.cut and code != was and not _is_harmless(patched, code, was):
        yield f"exit code {code}, bare {was}"


def _is_harmless(patched: Record, code: list[int], was: list[int]) -> bool:
    """Return whether another exit code is harmless: a different failure, or success in place of a signal."""
    if patched.cut:
        return 0 not in code + was
    return code == [0] and was > [SIGNALLED]


def _after(case: Case, bare: Record, patched: Record) -> Iterator[str]:
    if patched.ran_after_a_cut > bare.ran_after_a_cut:
        yield f"after a message that was cut there ran {patched.ran}, bare {bare.ran}"
    missing = [line for line in bare.ran if line not in patched.ran]
    if missing:
        yield f"these did not run after the deletion: {missing}"


def _restart(case: Case, bare: Record, patched: Record) -> Iterator[str]:
    allowed = (case.expect.restart_within or bare.restart or 0) + SLACK
    if patched.restart is not None and patched.restart > allowed:
        yield f"started again after {patched.restart:.1f} s, bare {bare.restart or 0:.1f} s"


def _expected(case: Case, bare: Record, patched: Record) -> Iterator[str]:
    expect = case.expect
    if expect.finishes and (patched.cut or not any(line.startswith("end ") for line in patched.lines)):
        yield f"the message does not finish: {patched.cut} cut"
    later = patched.seconds - patched.last_end
    if expect.within is not None and later > expect.within + SLACK:
        yield f"gone {later:.1f} s after its last message, expected {expect.within:g} s"
    if expect.first_process:
        yield from _first_process(bare, patched)
    for line in expect.always:
        if not _count(patched, line):
            yield f"the journal lacks {line!r}"
    for line in expect.never:
        if _count(patched, line):
            yield f"the journal has {line!r}"
    for line, most in expect.at_most.items():
        if _count(patched, line) > most:
            yield f"the journal has {_count(patched, line)} x {line!r}, expected {most}"
    yield from _sidecar(case, patched)


def _first_process(bare: Record, patched: Record) -> Iterator[str]:
    for name in bare.starts.keys() & patched.starts.keys():
        before, after = bare.starts[name].first_process, patched.starts[name].first_process
        if before != after:
            yield f"process 1 is {after[:80]!r}, bare {before[:80]!r}"


def _sidecar(case: Case, patched: Record) -> Iterator[str]:
    within = case.expect.sidecar_within
    if within is None:
        return
    if "sidecar" not in patched.ends or "worker" not in patched.ends:
        yield f"an end is not known: {dict(patched.ends)}"
        return
    later = patched.ends["sidecar"] - patched.ends["worker"]
    if later > within + SLACK:
        yield f"the sidecar ended {later:.1f} s after the worker, expected {within:g} s"
    if later < -SLACK:
        yield f"the sidecar ended {-later:.1f} s before the worker"


def _count(record: Record, beginning: str) -> int:
    return sum(line.startswith(beginning) for line in record.lines)
