"""Runs the pure path of a review repeatedly, to count instructions: `python -m benchmarks.core_path WHAT N`.

WHAT is `reviews`, or `yardstick`: work of the same kind that is not ours, which tells how fast the interpreter is.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable

from benchmarks.reviews import encoded, reviews
from webhook.core.policy import Policy
from webhook.server.admission_review import encode_response, read_review, review

POLICY = Policy()


def core(body: bytes) -> bytes:
    """Process one review."""
    request = read_review(body)
    return encode_response(request, review(request, POLICY))


def yardstick(body: bytes) -> object:
    """Read the same review and copy it with the standard library: C and Python code, in parts like ours."""
    return copy.deepcopy(json.loads(body))


WORK: dict[str, Callable[[bytes], object]] = {"reviews": core, "yardstick": yardstick}


def main(what: str, count: int) -> None:
    """Run it N times; the rest of the process is the same for every N."""
    bodies = [encoded(one) for one in reviews()]
    work = WORK[what]
    for number in range(count):
        work(bodies[number % len(bodies)])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
