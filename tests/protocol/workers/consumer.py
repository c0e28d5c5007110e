"""Work until a signal comes: `consumer.py JOURNAL HOW SIGNAL CODE LATE`.

HOW says how it handles SIGNAL, from LATE seconds after its start: with a `handler`; with `sigwait`; by polling for a
`blocked` signal; with a handler, and one for TERM that `breaks` the message off; or not at all, as SIGNAL is
`unhandled` or `ignored`. The message in progress lasts as long as JOURNAL.hold exists. After a handled signal and the
end of the message, the worker exits with CODE. With a `handler` it has a child, in its process group, that handles
every signal. Both record the signals that they get.
"""

import os
import signal
import sys
import time
from types import FrameType

journal, how, name, code, late = sys.argv[1:]
number = signal.Signals[f"SIG{name}"]
parent = os.getpid()
heard: list[int] = []
child = 0


def write(what: str) -> None:
    line = f"{time.monotonic_ns()} {what}\n".encode()
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(file, line)
    os.close(file)


def hear(got: int, _frame: FrameType | None = None) -> None:
    write(f"heard {signal.Signals(got).name[3:]}")
    heard.append(got)


def tell(got: int, _frame: FrameType | None) -> None:
    write(f"child got {signal.Signals(got).name[3:]}")


def break_off(_number: int, _frame: FrameType | None) -> None:
    write("heard TERM")
    os._exit(1)


def work() -> None:
    while os.path.exists(f"{journal}.hold"):
        time.sleep(0.005)


write("start")
time.sleep(float(late))
if how == "handler":
    child = os.fork()
    if not child:
        for one in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
            signal.signal(one, tell)
        while os.getppid() == parent:
            time.sleep(0.02)
        os._exit(0)
    signal.signal(number, hear)
elif how == "breaks":
    signal.signal(number, hear)
    signal.signal(signal.SIGTERM, break_off)
elif how in ("sigwait", "blocked"):
    signal.pthread_sigmask(signal.SIG_BLOCK, [number])
elif how == "ignored":
    signal.signal(number, signal.SIG_IGN)
else:
    signal.signal(number, signal.SIG_DFL)
write("ready")
if how in ("handler", "breaks"):
    while not heard:
        time.sleep(0.005)
elif how == "blocked":
    while number not in signal.sigpending():
        time.sleep(0.005)
if how in ("sigwait", "blocked"):
    hear(signal.sigwait([number]))
work()
if child:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
write("end")
os._exit(int(code))
