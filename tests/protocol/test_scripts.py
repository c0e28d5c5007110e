"""The text of the scripts; `make lint` runs shellcheck on it."""

from __future__ import annotations

import re

import pytest

from webhook.core.scripts import with_long_names

from .compositions import carried, compositions, parts, with_comments

SCRIPTS = compositions()
scripts = pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
FOUND_ON_PATH = {"mkdir", "mkfifo", "mv", "rm", "sleep", "tr", "env"}
"""The programs of the image that the scripts may use: the ones that also come with the copied shell."""


@scripts
def test_a_script_consists_only_of_the_parts(script: str) -> None:
    assert carried(with_comments(script)) == with_long_names(script)


@pytest.mark.parametrize("name", parts())
def test_every_part_is_used(name: str) -> None:
    assert any(carried(parts()[name]) in with_long_names(script) for script in SCRIPTS.values())


@scripts
def test_every_variable_has_the_prefix_or_belongs_to_the_shell(script: str) -> None:
    names = re.findall(r"(?:^|[\s;(\"'])([A-Za-z_]\w*)=", script)
    names += re.findall(r"\$\{?([A-Za-z_]\w*)", script)
    names += re.findall(r"\bfor (\w+) in", script)
    names += [name for names in re.findall(r"\bread -r((?: [a-z_]+)+)", script) for name in names.split()]
    assert names
    assert {name for name in names if not name.startswith("gw_")} <= {"IFS", "PATH"}


@scripts
def test_a_script_calls_only_programs_that_come_with_the_copied_shell(script: str) -> None:
    programs = (
        r"awk|cat|chmod|cp|cut|date|expr|grep|head|id|kill|ls|mktemp|mkdir|mkfifo|mv|ps|rm|sed|sleep|stat|tail|tr|env"
    )
    words = re.findall(rf"(?:^|[;&|({{!]|\b(?:if|then|do|while|until|exec|else)) *({programs})\b", script, re.MULTILINE)
    assert set(words) <= FOUND_ON_PATH | {"kill"}


@scripts
def test_a_script_contains_no_template_placeholder(script: str) -> None:
    assert re.findall(r"\{\{|\}\}|(?<!\$)\{\w*\}|%\(\w+\)|%[drf]\b|(?<!\$)\{[a-z_.]+\}", script) == []


@scripts
def test_a_script_in_a_pod_has_no_comments_empty_lines_or_indentation(script: str) -> None:
    assert [line for line in script.splitlines() if not line.strip() or line.startswith(("#", " ", "\t"))] == []


@scripts
def test_a_script_is_plain_ascii(script: str) -> None:
    assert script.isascii()
