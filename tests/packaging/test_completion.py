"""Completion in a real shell, as a person has it after the line that the help names."""

from __future__ import annotations

import shutil

import pytest

from tests.packaging.conftest import Installed

PROBE = """
source <(graceful-worker completion bash)
# It works inside a completion only: by it, bash is told to complete names of files itself.
compopt() {{ COMPREPLY+=("$*"); }}
COMP_WORDS=({words}) COMP_CWORD={last}
$(complete -p graceful-worker | sed 's/.*-F \\([^ ]*\\).*/\\1/') graceful-worker
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(installed: Installed, *words: str) -> list[str]:
    """Return what bash offers for the last word."""
    probe = PROBE.format(words=" ".join(f"'{word}'" for word in words), last=len(words) - 1)
    result = installed.run("bash", "--norc", "--noprofile", "-c", probe)
    assert result.stderr == ""
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["ex"], ["explain"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["certs", "is"], ["issue"]),
        (["explain", "--only"], ["--only-labelled"]),
    ],
    ids=" ".join,
)
def test_bash_completes(installed: Installed, words: list[str], expected: list[str]) -> None:
    assert completed(installed, "graceful-worker", *words) == expected


def test_bash_offers_files_where_a_file_is_wanted(installed: Installed) -> None:
    assert completed(installed, "graceful-worker", "explain", "-f", "depl") == ["-o", "default"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_every_shell_names_the_program(installed: Installed, shell: str) -> None:
    script = installed.run("graceful-worker", "completion", shell).stdout
    assert "graceful-worker" in script
    assert "_GRACEFUL_WORKER_COMPLETE" in script
    if shutil.which(shell):
        (installed.home / "script").write_text(script)
        assert installed.run(shell, "-n", str(installed.home / "script")).stderr == ""


def test_another_shell_is_refused_with_those_that_there_are(installed: Installed) -> None:
    result = installed.run("graceful-worker", "completion", "tcsh", check=False)
    assert result.returncode == 2
    assert "'bash', 'zsh', 'fish'" in result.stderr
