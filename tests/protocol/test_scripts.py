"""The scripts as texts."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from webhook.core.wrapping import BRING_SHELL_SCRIPT, SIDECAR_HOOK_SCRIPT, WORKER_HOOK_SCRIPT, WORKER_SCRIPT

NAMES = ("worker.sh", "worker-prestop.sh", "sidecar-prestop.sh", "bring-shell.sh")
CARRIED = (
    WORKER_SCRIPT.replace("$$", "$"),
    WORKER_HOOK_SCRIPT,
    SIDECAR_HOOK_SCRIPT,
    BRING_SHELL_SCRIPT.replace("$$", "$"),
)
scripts = pytest.mark.parametrize("name", NAMES)
carried = pytest.mark.parametrize("script", CARRIED, ids=NAMES)
shellcheck = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")


def text(name: str) -> str:
    return files("webhook.shell").joinpath(name).read_text()


def checked(script: str) -> str:
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    return subprocess.run(
        [shellcheck, "--norc", "--shell=sh", "-"], input=script, capture_output=True, text=True, check=False
    ).stdout


@scripts
def test_a_script_passes_shellcheck(name: str) -> None:
    assert checked(text(name)) == ""


@carried
def test_a_script_passes_shellcheck_as_pods_carry_it(script: str) -> None:
    assert checked(script) == ""


@scripts
def test_every_variable_has_the_prefix(name: str) -> None:
    code = "".join(line for line in text(name).splitlines(True) if not line.lstrip().startswith("#"))
    names = re.findall(r"(?:^|[\s;(\"'])([A-Za-z_]\w*)=", code)
    names += re.findall(r"\$\{?([A-Za-z_]\w*)", code)
    names += re.findall(r"\bfor (\w+) in", code)
    names += [name for names in re.findall(r"\bread -r((?: [a-z_]+)+)", code) for name in names.split()]
    assert names
    assert [name for name in names if not name.startswith("gw_")] == []


@pytest.mark.parametrize("script", CARRIED[:3], ids=NAMES[:3])
def test_programs_are_called_where_a_brought_shell_has_them(script: str) -> None:
    words = re.findall(
        r"(?:^|[;&|({]|\b(?:if|then|do|while|until|exec|\|\|)) *(mkdir|rm|sleep|cp|mv|ln|cat|ls)\b", script, re.M
    )
    assert words == []
    assert set(re.findall(r'"\$\{gw_bin\}([a-z]+)"', script)) <= {"mkdir", "rm", "sleep"}


@carried
def test_nothing_of_a_template_is_left_in_a_script(script: str) -> None:
    assert re.findall(r"\{\{|\}\}|(?<!\$)\{\w*\}|%\(\w+\)|%[sdr]\b|(?<!\$)\{[a-z_.]+\}", script) == []


@carried
def test_a_pod_carries_no_comments_and_no_empty_lines(script: str) -> None:
    assert [line for line in script.splitlines() if not line.strip() or line.lstrip().startswith("#")] == []


@carried
def test_a_script_is_plain_ascii(script: str) -> None:
    assert script.isascii()
