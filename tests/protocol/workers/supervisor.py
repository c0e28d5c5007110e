"""Process 1 of a container that waits for all its children: `supervisor.py JOURNAL CHILDREN`.

At TERM its children end, and it waits until it has no child left, whoever left it there.
"""

import os
import signal
import sys
import time

journal, count = sys.argv[1], int(sys.argv[2])


def write(what):
    with open(journal, "a", encoding="ascii") as file:
        file.write(f"{time.monotonic_ns()} {what}\n")


children = []
for _ in range(count):
    child = os.fork()
    if not child:
        signal.pause()
    children.append(child)


def stop(_number, _frame):
    write("heard TERM")
    for child in children:
        os.kill(child, signal.SIGKILL)


signal.signal(signal.SIGTERM, stop)
write("ready")
if not count:
    signal.pause()
while True:
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        break
write("end")
