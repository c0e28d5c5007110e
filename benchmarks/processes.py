"""What the kernel counts of a process and its children: processor time and memory, read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor seconds so far, those in the kernel, and the number of voluntary context switches."""

    processor: float
    kernel: float
    waits: int

    def since(self, before: Usage) -> Usage:
        """Return the difference."""
        return Usage(self.processor - before.processor, self.kernel - before.kernel, self.waits - before.waits)


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    pids = [pid]
    for parent in pids:
        for task in Path(f"/proc/{parent}/task").iterdir():
            pids += map(int, (task / "children").read_text().split())
    return pids


def usage(pid: int) -> Usage:
    """Read the processor time of a process and its children."""
    processor, kernel, waits = 0.0, 0.0, 0
    for member in family(pid):
        for task in Path(f"/proc/{member}/task").iterdir():
            processor += int((task / "schedstat").read_text().split()[0]) / 1e9
            kernel += int((task / "stat").read_text().rpartition(")")[2].split()[12]) / _TICKS
            waits += _field((task / "status").read_text(), "voluntary_ctxt_switches")
    return Usage(processor, kernel, waits)


def resident_mib(pid: int) -> float:
    """Return the memory that a process and its children occupy."""
    return sum(_field(Path(f"/proc/{member}/status").read_text(), "VmRSS") for member in family(pid)) / 1024


def _field(status: str, name: str) -> int:
    (line,) = (line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])
