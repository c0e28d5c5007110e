"""The chart's README: every value is described, and its commands are ones that Helm and kubectl know."""

from __future__ import annotations

import re

from tests.deploy.chart.rendered import helm
from tests.documentation.chart import README, described, values


def test_every_value_is_described_by_a_sentence() -> None:
    paths = dict(described())

    def undescribed(value: object, path: tuple[str, ...] = ()) -> list[str]:
        if path in paths:
            return []
        if isinstance(value, dict) and value:
            return [each for name, below in value.items() for each in undescribed(below, (*path, name))]
        return [".".join(path)]

    assert undescribed(values()) == []
    assert [path for path, text in paths.items() if not re.match(r"[A-Z].*[.`]$", text)] == []


def test_every_helm_command_has_flags_that_helm_knows() -> None:
    commands = re.findall(r"^\$ helm (\w+) (.+)$", README.read_text(), re.MULTILINE)
    assert {verb for verb, _ in commands} == {"install", "test", "upgrade", "uninstall"}
    for verb, rest in commands:
        known = helm(verb, "--help").stdout
        flags = re.findall(r"(?<= )--?[a-z][a-z-]*", rest)
        assert [flag for flag in flags if not re.search(rf"{flag}[ ,]", known)] == []
