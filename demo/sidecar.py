"""A sidecar that serves until SIGTERM."""

import signal
import sys
from types import FrameType


def stop(number: int, frame: FrameType | None) -> None:
    """Print the end."""
    print("sidecar leaves", flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
print("sidecar serves", flush=True)
while True:
    signal.pause()
