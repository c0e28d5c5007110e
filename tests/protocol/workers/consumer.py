"""Works until a signal comes: `consumer.py JOURNAL SIGNAL CODE LATE`.

Handles SIGNAL, LATE seconds after its start. Then its message takes as long as JOURNAL.hold is there, and the exit code
is CODE. It has a child, in its process group, that handles every signal. Both tell of the signals that they get.
"""

import os
import signal
import sys
import time

journal, name, code, late = sys.argv[1:]
heard = []


def write(what):
    line = f"{time.monotonic_ns()} {what}\n".encode()
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, line)
    os.close(file)


def hear(number, _frame):
    write(f"heard {signal.Signals(number).name[3:]}")
    heard.append(number)


def tell(number, _frame):
    write(f"child got {signal.Signals(number).name[3:]}")


write("start")
time.sleep(float(late))
parent = os.getpid()
child = os.fork()
if not child:
    for one in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(one, tell)
    write("child ready")
    while os.getppid() == parent:
        time.sleep(0.01)
    os._exit(0)
signal.signal(signal.Signals[f"SIG{name}"], hear)
write("ready")
while not heard or os.path.exists(f"{journal}.hold"):
    time.sleep(0.003)
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
write("end")
os._exit(int(code))
