"""Plans are remembered by all that they hang on, by nothing else, and not without bound."""

from __future__ import annotations

from typing import Any

import msgspec

from webhook.core.injection import inject
from webhook.core.plan.memoization import LONGEST_ARGUMENTS, MOST_RESULTS, memoized
from webhook.core.policy import Policy


class Words(msgspec.Struct):
    words: list[str]


def test_a_result_is_worked_out_once_for_equal_arguments() -> None:
    asked = []

    @memoized(Words)
    def count(given: Words) -> int:
        asked.append(given)
        return len(given.words)

    assert [count(Words(["a", "b"])), count(Words(["a", "b"])), count(Words(["ab"]))] == [2, 2, 1]
    assert len(asked) == 2


def test_long_arguments_are_not_kept() -> None:
    asked = []

    @memoized(Words)
    def count(given: Words) -> int:
        asked.append(given)
        return len(given.words)

    for _ in range(2):
        assert count(Words(["x" * LONGEST_ARGUMENTS])) == 1
    assert len(asked) == 2


def test_the_results_that_are_kept_are_bounded_in_number() -> None:
    asked = []

    @memoized(Words)
    def first(given: Words) -> str:
        asked.append(given)
        return given.words[0]

    for number in range(MOST_RESULTS + 1):
        first(Words([str(number)]))
    first(Words(["0"]))
    assert len(asked) == MOST_RESULTS + 2


def test_words_that_have_no_text_are_not_kept() -> None:
    """YAML can say half of a surrogate pair; UTF-8 cannot."""

    @memoized(Words)
    def first(given: Words) -> str:
        return given.words[0]

    assert first(Words(["\ud800"])) == "\ud800"


def said(image: str, variable: str = "") -> list[str]:
    env = [{"name": variable, "value": "SIGQUIT"}]
    container = {"name": "worker", "image": image, "command": ["celery", "worker"], "env": env}
    pod: dict[str, Any] = {"metadata": {"labels": {"graceful-worker": "enabled"}}, "spec": {"containers": [container]}}
    return [str(finding) for finding in inject(pod, Policy()).decision.findings]


def test_what_differs_from_release_to_release_changes_nothing() -> None:
    assert said("example.com/shop:1.0") == said("example.com/shop:1.1", "VERSION")


def test_an_image_without_a_shell_and_a_variable_that_decides_are_told_apart() -> None:
    plain = said("example.com/shop:1.0")
    assert said("gcr.io/distroless/python3:latest") != plain
    assert said("example.com/shop:1.0", "REMAP_SIGTERM") != plain
