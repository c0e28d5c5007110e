"""Run cases, each bare and patched with each shell, many in parallel, as they use little CPU time."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harm import images
from tests.harm.case import Case
from tests.harm.run import Record, run
from tests.harm.verdict import verdict
from tests.node import runtime
from tests.node.images import ENVIRONMENT
from tests.node.runtime import Image

AT_ONCE = 32
AT_ONCE_WHEN_QUIET = 6


@dataclass(frozen=True)
class Result:
    """Both runs of a case with one shell."""

    case: Case
    shell: str
    bare: Record
    patched: Record
    attempt: int = 1

    @property
    def worse(self) -> list[str]:
        return verdict(self.case, self.bare, self.patched)


def refusal() -> str:
    """Return why no case can run on this machine; empty if they can."""
    return runtime.refusal() or images.refusal()


def missing(case: Case) -> str:
    """Return what a case lacks on this machine; empty if it can run."""
    lacking = [program for program in case.needs if shutil.which(program, path=ENVIRONMENT["PATH"]) is None]
    return f"{lacking[0]} is not installed: see tests/harm/debian-packages.txt" if lacking else ""


Key = tuple[str, str]
"""The names of a case and a shell."""


def run_all(
    cases: Sequence[Case],
    shells: Sequence[str] = images.SHELLS,
    *,
    at_once: int = AT_ONCE,
    again: bool = True,
    show: Callable[[Result], None] = lambda _: None,
) -> dict[Key, Result]:
    """Run cases; repeat those that are worse once, with fewer at once: a busy machine may cause delays of a second."""
    with _default_stop_signals(), tempfile.TemporaryDirectory(prefix="harm-images-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        made = images.make_images(directory)
        wanted = [(case, [s for s in case.shells if s in shells]) for case in cases if not missing(case)]
        results = _pass(wanted, made, at_once, show)
        worse = [(r.case, [r.shell]) for r in results.values() if r.worse]
        if worse and again:
            results |= _pass(worse, made, AT_ONCE_WHEN_QUIET, show, attempt=2)
        return results


@contextmanager
def _default_stop_signals() -> Iterator[None]:
    """Reset ignored stop signals to the default, as in a container.

    A run in the background ignores some of them, and the containers would inherit that.
    """
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
    ignored = [number for number in numbers if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


def _pass(
    wanted: Sequence[tuple[Case, Sequence[str]]],
    made: Mapping[str, Image],
    at_once: int,
    show: Callable[[Result], None],
    attempt: int = 1,
) -> dict[Key, Result]:
    """Run all cases in parallel, the longest first."""
    results: dict[Key, Result] = {}
    pool = ThreadPoolExecutor(at_once)
    try:
        longest_first = sorted(wanted, key=lambda each: -each[0].release)
        submitted = [runs for case, shells in longest_first for runs in _submit(pool, case, shells, made)]
        for case, shell, bare, patched in submitted:
            result = Result(case, shell, bare.result(), patched.result(), attempt)
            results[case.name, shell] = result
            show(result)
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def _submit(
    pool: ThreadPoolExecutor, case: Case, shells: Sequence[str], made: Mapping[str, Image]
) -> Iterator[tuple[Case, str, Future[Record], Future[Record]]]:
    """Run a case with each shell; run the bare pod only once if it does not use a shell."""
    bare: Future[Record] | None = None
    for shell in shells:
        if bare is None or case.runs_a_shell:
            bare = pool.submit(run, case, made[shell], protected=False)
        yield case, shell, bare, pool.submit(run, case, made[shell], protected=True)
