"""Fork a child per message, and drop a message that is still being fetched at TERM: `fetcher.py JOURNAL SECONDS`.

Fetches for SECONDS, or forever if they are negative. RQ's worker behaves like this.
"""

import os
import signal
import sys
import time
from types import FrameType

journal, seconds = sys.argv[1], float(sys.argv[2])
child = 0


def write(what: str) -> None:
    line = f"{time.monotonic_ns()} {what}\n".encode()
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, line)
    os.close(file)


def stop(_number: int, _frame: FrameType | None) -> None:
    write("heard" if child else "dropped")
    if not child:
        os._exit(0)


signal.signal(signal.SIGTERM, stop)
write("fetching")
end = time.monotonic() + seconds
while seconds < 0 or time.monotonic() < end:
    time.sleep(0.01)
child = os.fork()
if not child:
    time.sleep(0.3)
    os._exit(0)
write("working")
os.waitpid(child, 0)
write("end")
