"""A review costs no more instructions than the limit that was set."""

from __future__ import annotations

import pytest

from benchmarks import instructions


@pytest.mark.timeout(1200)  # valgrind is slow, but what it counts does not depend on how slow
@pytest.mark.skipif(not instructions.is_installed(), reason="valgrind is not installed")
def test_a_review_costs_no_more_instructions_than_it_did() -> None:
    counted = instructions.count()
    assert counted.ratio <= instructions.limit(), (
        f"{counted.reviews} instructions for a review, {counted.ratio:.3f} times the yardstick's {counted.yardstick}. "
        "If it is worth that: python -m benchmarks.instructions --write"
    )
