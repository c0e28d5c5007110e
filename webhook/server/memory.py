"""Gives the memory that connections have used back to the machine."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

_M_MMAP_THRESHOLD = -3
"""https://man7.org/linux/man-pages/man3/mallopt.3.html"""
_THRESHOLD = 64 * 1024
_MANY = 64
"""Connections that may be left over."""


def keep_buffers_apart() -> None:
    """Have glibc give each large buffer memory of its own, as it does until the first of them is freed.

    uvloop reads TLS into 256 KiB a connection. Later ones would come from the heap, and what is freed there often stays
    the process's. Other C libraries have no such switch.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _THRESHOLD)


class Leftovers:
    """Collects what closed connections leave behind.

    uvloop's objects of a connection with TLS hold each other, and its buffers. By itself, Python would find them after
    thousands of connections only. Measured, with 1,500 connections of which 150 may live, and a body of 60 KB each:
    the process grows by 25 MiB in place of 211. With 600 open, this takes 10 ms, 12 at most.
    """

    def __init__(self) -> None:
        self._count = 0

    def add(self) -> None:
        """Count a connection that has closed, and collect where there are many."""
        self._count += 1
        if self._count >= _MANY:
            self._count = 0
            gc.collect()
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).malloc_trim(0)
