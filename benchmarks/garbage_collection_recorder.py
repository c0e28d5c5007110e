"""The webhook's command line, which records its garbage collections in a file.

python -m benchmarks.garbage_collection_recorder FILE serve ...
"""

from __future__ import annotations

import atexit
import gc
import json
import sys
import time
from pathlib import Path

from webhook.cli.commands import main

pauses: list[tuple[float, int, float]] = []
"""The end, the generation and the milliseconds of each collection."""
_begin = 0


def record(phase: str, collection: dict[str, int]) -> None:
    """Measure the time from the start to the end of a collection."""
    global _begin  # noqa: PLW0603 - the collector calls nothing but a function
    now = time.perf_counter_ns()
    if phase == "start":
        _begin = now
    else:
        pauses.append((time.time(), collection["generation"], (now - _begin) / 1e6))


if __name__ == "__main__":
    file = Path(sys.argv.pop(1))
    atexit.register(lambda: file.write_text(json.dumps(pauses)))
    gc.callbacks.append(record)
    main()
