"""The journal: the events that the workers of a pod record, in the order in which they happened.

Lines are `begin NAME` and `end NAME` of a message, `ran WHAT` for other commands of the pod, `heard SIGNAL`, and other
lines that a case needs. The node writes `deleted` when it deletes the pod, so that the order counts, and not a clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DELETED = "deleted"
OUR_SIGNALS = ("SigBlk", "SigIgn", "SigCgt")


@dataclass(frozen=True)
class Start:
    """The state in which a program started: environment, signal dispositions, and the command line of process 1."""

    environment: tuple[str, ...]
    signals: str
    first_process: str


class Journal:
    """The journal of one run, in a folder that is mounted at /journal in every container."""

    def __init__(self, folder: Path, quick: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        folder.chmod(0o777)
        self._file = folder / "journal"
        self._file.touch()
        self._file.chmod(0o666)
        (folder / "quick").write_text(str(quick))

    @property
    def lines(self) -> list[str]:
        return self._file.read_text(errors="replace").splitlines()

    def count(self, beginning: str) -> int:
        return sum(line.startswith(beginning) for line in self.lines)

    def delete(self) -> None:
        """Record that the pod is deleted: messages that begin afterwards take longer than the original grace period."""
        (self.folder / DELETED).touch()
        with self._file.open("a") as file:
            file.write(f"{DELETED}\n")

    def release(self) -> None:
        """Let the current messages end."""
        (self.folder / "release").touch()

    def hold(self) -> None:
        """Make the next messages last until they are released."""
        (self.folder / "release").unlink(missing_ok=True)

    def last_end(self) -> float:
        """Return the seconds from the deletion to the end of the last message; 0 if none has ended since."""
        ended, deleted = self.folder / "ended", self.folder / DELETED
        if not ended.exists() or not deleted.exists():
            return 0
        return max(0.0, ended.stat().st_mtime - deleted.stat().st_mtime)

    def starts(self) -> dict[str, Start]:
        """Return how each program started, by its name in the journal."""
        names = (path.stem for path in self.folder.glob("*.status"))
        return {name: self._start(self.folder / name) for name in sorted(names)}

    @staticmethod
    def _start(path: Path) -> Start:
        environment, status, first = (
            path.with_suffix(suffix).read_bytes().decode(errors="surrogateescape")
            for suffix in (".environ", ".status", ".first")
        )
        signals = " ".join(" ".join(line.split()) for line in status.splitlines() if line.startswith(OUR_SIGNALS))
        return Start(tuple(sorted(filter(None, environment.split("\0")))), signals, first.replace("\0", " ").strip())


def cut(lines: Sequence[str]) -> int:
    """Count the messages that began and did not end."""
    return sum(_open(lines).values())


def count_received_signals(lines: Sequence[str]) -> int:
    """Count the workers' first signals since the deletion; helpers do not count."""
    helpers = (" as proxy", " as beat", " again")
    return sum(line.startswith("heard ") and not line.endswith(helpers) for line in after_deletion(lines))


def _open(lines: Sequence[str]) -> Counter[str]:
    found = Counter[str]()
    for line in lines:
        what, _, name = line.partition(" ")
        if what in ("begin", "end"):
            found[name] += 1 if what == "begin" else -1
    return +found


def after_deletion(lines: Sequence[str]) -> list[str]:
    return list(lines[lines.index(DELETED) + 1 :]) if DELETED in lines else []


def begun_in_drain(lines: Sequence[str]) -> int:
    return sum(line.startswith("begin ") for line in after_deletion(lines))


def ran_in_drain(lines: Sequence[str]) -> list[str]:
    """Return what ran after the deletion, apart from messages."""
    return sorted(line for line in after_deletion(lines) if line.startswith("ran "))


def ran_after_a_cut(lines: Sequence[str]) -> int:
    """Count what ran after a message that was cut, as if the message had been handled."""
    left = _open(lines)
    first = next((i for i, line in enumerate(lines) if line.startswith("begin ") and left[line[6:]]), len(lines))
    return sum(line.startswith("ran ") for line in lines[first:]) if DELETED in lines else 0
