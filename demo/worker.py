"""A worker without signal handlers: it handles one message, which takes three seconds, and exits."""

import os
import sys
import time

SECONDS = 3

message = time.strftime("%H:%M:%S")
print(f"message of {message} begins", flush=True)
for _ in range(SECONDS * 10):
    time.sleep(0.1)
print(f"message of {message} ends", flush=True)
sys.exit(os.EX_OK)
