"""Every case with every shell: the patched pod is no worse than the bare one."""

from __future__ import annotations

import pytest

from tests.harm.case import Case, all_cases
from tests.harm.matrix import Key, Result, missing, refusal, run_all

CASES = all_cases()
COMPARISONS = [
    pytest.param(case, shell, id=f"{case.title.replace(' ', '-')}-under-{shell}")
    for case in CASES
    for shell in case.shells
]

pytestmark = [pytest.mark.skipif(bool(refusal()), reason=refusal()), pytest.mark.xdist_group("harm")]


@pytest.fixture(scope="module")
def results() -> dict[Key, Result]:
    """Run all cases in parallel."""
    return run_all(CASES)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("case", "shell"), COMPARISONS)
def test_the_patched_pod_is_no_worse_than_the_bare_one(results: dict[Key, Result], case: Case, shell: str) -> None:
    if missing(case):
        pytest.skip(missing(case))
    assert results[case.name, shell].worse == []
