"""The common part of the cases' workers: a journal, messages that the test ends, and a record of the start."""

import ctypes
import os
import signal
import sys
import time

FOLDER = "/journal"
LATER = 5.0
"""Seconds, longer than the original grace period and shorter than the raised one."""
QUICK = 0.3
NAP = 0.02


def note(line: str) -> None:
    """Append a line with one write, so that the lines of several processes never mix."""
    journal = os.open(f"{FOLDER}/journal", os.O_WRONLY | os.O_APPEND)
    os.write(journal, f"{line}\n".encode())
    os.close(journal)


def witness(name: str) -> None:
    """Record the environment, the signal dispositions, and the command line of process 1."""
    for suffix, source in (("environ", "self/environ"), ("status", "self/status"), ("first", "1/cmdline")):
        with open(f"/proc/{source}", "rb") as there, open(f"{FOLDER}/{name}.{suffix}", "wb") as here:
            here.write(there.read())


def message(name: str) -> None:
    """Handle a message."""
    handle(name, begin(name))


def begin(name: str) -> str:
    """Begin a message, and return how long it takes: `quick`, `late`, or, if empty, until the test releases it."""
    late = os.path.exists(f"{FOLDER}/deleted")
    quick = _begun(name) < _quick()
    note(f"begin {name}")
    return "quick" if quick else "late" if late else ""


def handle(name: str, kind: str) -> None:
    """Handle a message that has begun; if it began after the deletion, it exceeds the original grace period."""
    begun = time.monotonic()
    if kind:
        while time.monotonic() - begun < (QUICK if kind == "quick" else LATER):
            time.sleep(NAP)
    else:
        while not os.path.exists(f"{FOLDER}/release"):
            time.sleep(NAP)
    note(f"end {name}")
    with open(f"{FOLDER}/ended", "w"):
        pass  # the modification time of this file is the end of the last message
    os.write(
        1, f"{name} has handled a message\n".encode()
    )  # workers log this: writing to a pipe without a reader would end them


def _quick() -> int:
    with open(f"{FOLDER}/quick") as file:
        return int(file.read())


def _begun(name: str) -> int:
    with open(f"{FOLDER}/journal") as journal:
        return journal.read().splitlines().count(f"begin {name}")


class Flag:
    """Becomes true at the first signal, and records each one."""

    def __init__(self, *names: str, who: str = "") -> None:
        self.times = 0
        self._who = who
        for name in names:
            signal.signal(signal.Signals[f"SIG{name}"], self._hear)

    def _hear(self, number: int, _: object) -> None:
        self.times += 1
        again = " again" if self.times > 1 else ""
        note(f"heard {signal.Signals(number).name[3:]}{' as ' + self._who if self._who else ''}{again}")

    def __bool__(self) -> bool:
        return self.times > 0


def set_title(title: str) -> None:
    """Overwrite argv and what follows it, like setproctitle, and the name of the process."""
    with open("/proc/self/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    begin, end = int(fields[45]), int(fields[48])
    text = title.encode()[: end - begin - 1]
    ctypes.memmove(begin, text + bytes(end - begin - len(text)), end - begin)
    ctypes.CDLL(None).prctl(15, title.encode()[:15], 0, 0, 0)


def options() -> dict[str, str]:
    """Return the arguments of the form NAME=VALUE."""
    return dict(word.split("=", 1) for word in sys.argv[1:] if "=" in word)
