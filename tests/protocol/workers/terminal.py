"""Write to and read from the terminal: `terminal.py`. Exits with an error, so that the loop ends."""

import os
import sys

for stream in (0, 1, 2):
    assert os.isatty(stream), stream
assert os.tcgetpgrp(0) == os.getpgrp()
print("name?", flush=True)
print(f"hello {sys.stdin.readline().strip()}", flush=True)
sys.exit(3)
