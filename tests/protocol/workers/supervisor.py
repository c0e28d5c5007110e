"""Process 1 of a container with children of its own: `supervisor.py JOURNAL CHILDREN HOW`.

At TERM it ends its children. Then it `waits` until it has no child left, adopted ones included; it `polls` for that; or
it `computes` for a second after they have ended.
"""

import os
import signal
import sys
import time
from types import FrameType

journal, count, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def write(what: str) -> None:
    with open(journal, "a", encoding="ascii") as file:
        file.write(f"{time.monotonic_ns()} {what}\n")


children = []
for _ in range(count):
    child = os.fork()
    if not child:
        signal.pause()
    children.append(child)


def stop(_number: int, _frame: FrameType | None) -> None:
    write("heard TERM")
    for child in children:
        os.kill(child, signal.SIGKILL)


signal.signal(signal.SIGTERM, stop)
write("ready")
if not count:
    signal.pause()
if how == "computes":
    for child in children:
        os.waitpid(child, 0)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        pass
else:
    try:
        while True:
            if os.waitpid(-1, os.WNOHANG if how == "polls" else 0) == (0, 0):
                time.sleep(0.05)
    except ChildProcessError:
        pass
write("end")
