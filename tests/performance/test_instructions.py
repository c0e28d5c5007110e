"""A review takes no more instructions than the recorded limit."""

from __future__ import annotations

import pytest

from benchmarks import instructions


@pytest.mark.timeout(1200)  # valgrind is slow, but its counts do not depend on the machine's speed
@pytest.mark.skipif(not instructions.is_installed(), reason="valgrind is not installed")
def test_a_review_takes_no_more_instructions_than_the_limit() -> None:
    counted = instructions.count()
    assert counted.ratio <= instructions.limit(), (
        f"{counted.reviews} instructions for a review, {counted.ratio:.3f} times the yardstick's {counted.yardstick}. "
        "If it is worth that: python -m benchmarks.instructions --write"
    )
