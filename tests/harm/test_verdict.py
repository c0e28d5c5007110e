"""What counts as worse, tested with made-up records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.harm.case import Case, Expectation, all_cases
from tests.harm.journal import Start
from tests.harm.run import SCENARIOS, Record
from tests.harm.verdict import verdict

CASE = Case("case", "a case", {"command": ["worker"]})
JOB = replace(CASE, job=True)
FINISHED = Record(lines=("begin w", "deleted", "end w"), seconds=1, last_end=1, exit_codes=(0,))
CUT = Record(lines=("begin w", "deleted"), seconds=4, exit_codes=(137,), killed=True)


def worse(bare: Record, patched: Record, case: Case = CASE) -> str:
    return "; ".join(verdict(case, bare, patched))


def with_start(record: Record, *environment: str, signals: str = "SigIgn: 0", first: str = "worker") -> Record:
    return replace(record, starts={"w": Start(tuple(sorted(environment)), signals, first)})


@pytest.mark.parametrize("record", [FINISHED, CUT])
def test_a_run_is_no_worse_than_itself(record: Record) -> None:
    assert worse(record, record) == ""


def test_an_untouched_pod_is_no_worse_than_the_bare_one() -> None:
    assert worse(CUT, Record(untouched=True)) == ""


def test_a_message_that_is_cut_is_worse() -> None:
    assert worse(FINISHED, CUT).startswith("1 messages cut, bare 0")


def test_a_message_that_begins_during_the_drain_is_worse() -> None:
    begun = replace(FINISHED, lines=(*FINISHED.lines, "begin w", "end w"))
    assert worse(FINISHED, begun) == "1 messages begun in the drain, bare 0"


def test_the_pod_may_end_later_for_a_message_that_it_finishes() -> None:
    assert worse(CUT, replace(FINISHED, seconds=9, last_end=8.5)) == ""


def test_the_pod_may_not_end_later_for_another_reason() -> None:
    assert worse(CUT, replace(FINISHED, seconds=9, last_end=1)) == "gone after 9.0 s, bare 4.0 s"


def test_the_pod_may_not_end_later_for_a_message_that_is_cut() -> None:
    assert worse(CUT, replace(CUT, seconds=9)) == "gone after 9.0 s, bare 4.0 s"


def test_the_environment_must_be_the_same_except_for_variables_that_bash_always_sets() -> None:
    bare = with_start(FINISHED, "A=1", "B=")
    assert worse(bare, with_start(FINISHED, "A=1", "B=", "_=/bin/worker")) == ""
    assert "lacks ['B='] and has ['SHLVL=1']" in worse(bare, with_start(FINISHED, "A=1", "SHLVL=1"))


def test_the_signal_dispositions_must_be_the_same() -> None:
    assert "w started with" in worse(with_start(FINISHED), with_start(FINISHED, signals="SigIgn: 2"))


def test_process_1_is_compared_if_the_case_says_so() -> None:
    strict = replace(CASE, expect=Expectation(first_process=True))
    runs = with_start(FINISHED), with_start(FINISHED, first="sh -c ... worker")
    assert worse(*runs) == ""
    assert worse(*runs, case=strict) == "process 1 is 'sh -c ... worker', bare 'worker'"


def test_the_exit_code_must_be_the_same_if_the_container_ended_by_itself() -> None:
    assert worse(replace(FINISHED, exit_codes=(3,)), FINISHED) == "exit code [0], bare [3]"


def test_success_in_place_of_a_signal_is_not_worse() -> None:
    assert worse(replace(FINISHED, exit_codes=(143,)), FINISHED) == ""
    assert worse(FINISHED, replace(FINISHED, exit_codes=(143,))) == "exit code [143], bare [0]"


def test_a_job_that_succeeds_with_its_work_undone_is_worse() -> None:
    assert "counts as succeeded" in worse(CUT, replace(CUT, exit_codes=(0,), killed=False), JOB)
    assert "counts as succeeded" in worse(CUT, replace(CUT, lines=("deleted",), exit_codes=(0,)), JOB)


def test_commands_after_the_worker_must_still_run_but_not_after_a_cut_message() -> None:
    acknowledged = replace(FINISHED, lines=(*FINISHED.lines, "ran ack"))
    assert worse(acknowledged, FINISHED) == "these did not run after the deletion: ['ran ack']"
    assert "after a message that was cut" in worse(CUT, replace(CUT, lines=(*CUT.lines, "ran ack")))


def test_a_case_can_exclude_a_column() -> None:
    assert worse(FINISHED, replace(FINISHED, seconds=9), replace(CASE, unfit={"seconds": "why"})) == ""


def test_a_failed_run_is_worse() -> None:
    assert worse(FINISHED, Record(error="refused")) == "the patched run: refused"


def test_every_case_has_a_unique_title_and_a_known_scenario() -> None:
    cases = all_cases()
    assert len({case.title for case in cases}) == len(cases)
    assert {case.scenario for case in cases} <= SCENARIOS.keys()
