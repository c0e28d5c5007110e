"""Every command in the documents runs, has words that its program knows, or is marked with what it needs."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from itertools import pairwise
from pathlib import Path

import click
import pytest

from tests.deploy.rendered import DEPLOY, NAME, installed, kubectl
from tests.documentation.commands import CLUSTER, ROOT, Command, commands, lines_below
from webhook.cli.commands import main

COMMANDS = list(dict.fromkeys(commands()))
FREE = [command for command in COMMANDS if command.needs in ("", CLUSTER)]
RUNNABLE = {"explain", "diff", "inject", "uninject", "certs"}
"""Commands that need neither a cluster nor a port."""
OF_A_CLUSTER = {"status", "drains", "repair", "watch"}
"""Commands that read a cluster."""
FILTERS = {"grep", "base64"}
"""Programs that follow a pipe."""
PLUGIN = ("kubectl", "graceful-worker")
CHECKED = {"make", "graceful-worker", "kubectl", "helm", "python", *FILTERS}


def of(program: str) -> list[Command]:
    return [command for command in FREE if command.program == program and command.words[:2] != PLUGIN]


def named(command: Command) -> str:
    return str(command)


def output(*words: str) -> str:
    result = subprocess.run(words, text=True, capture_output=True, check=False, cwd=ROOT)
    return result.stdout + result.stderr


def flags(words: tuple[str, ...]) -> list[str]:
    return [word.partition("=")[0] for word in words if re.match(r"-{1,2}[a-zA-Z]", word)]


def test_a_command_that_no_test_knows_says_what_it_needs() -> None:
    assert [str(command) for command in FREE if command.program not in CHECKED] == []


def test_a_block_is_marked_only_for_the_sake_of_a_program_that_no_test_knows() -> None:
    marked = [command for command in COMMANDS if command.needs not in ("", CLUSTER)]
    earned = [command for command in marked if command.program not in CHECKED - {"make"}]
    assert {(command.page, command.needs) for command in marked} == {(each.page, each.needs) for each in earned}


def needs_cluster(command: Command) -> bool:
    if command.program in ("kubectl", "helm"):
        # `kubectl graceful-worker explain` needs none, but nothing here runs it as a plugin.
        return True
    return command.program == "graceful-worker" and command.arguments[0] in OF_A_CLUSTER


def test_what_needs_a_cluster_says_so() -> None:
    unmarked = [command for command in COMMANDS if needs_cluster(command) and not command.needs]
    assert [str(command) for command in unmarked if not command.is_generated] == []


@pytest.mark.parametrize("command", of("make"), ids=named)
def test_a_make_target_exists(command: Command) -> None:
    subprocess.run(["make", "--dry-run", *command.arguments], cwd=ROOT, check=True, capture_output=True)


def click_command(arguments: tuple[str, ...]) -> tuple[click.Command, tuple[str, ...]]:
    """Return the command that is called, and what is left for it."""
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group):
        found = command.get_command(context, arguments[0])
        assert found is not None, f"there is no {arguments[0]}"
        command, arguments = found, arguments[1:]
    return command, arguments


@pytest.mark.parametrize(
    "command", [*of("graceful-worker"), *(each for each in FREE if each.words[:2] == PLUGIN)], ids=named
)
def test_the_command_line_knows_the_options(command: Command) -> None:
    called, rest = click_command(command.arguments[command.words[:2] == PLUGIN :])
    known = {name for option in called.params for name in (*option.opts, *option.secondary_opts)}
    assert set(flags(rest)) <= {*known, "--help"}


@pytest.mark.parametrize("command", [c for c in of("graceful-worker") if c.arguments[0] in RUNNABLE], ids=named)
def test_a_command_without_a_cluster_runs(command: Command, tmp_path: Path) -> None:
    arguments = [str(tmp_path / word) if word.startswith("certs-") else word for word in command.arguments]
    standard_input = (ROOT / "examples" / "celery.yaml").read_text() if arguments[-1] == "-" else None
    result = subprocess.run(
        [sys.executable, "-m", "webhook", *arguments],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
        input=standard_input,
    )
    # `diff` tells a difference by 1.
    assert result.returncode == (1 if arguments[0] == "diff" else 0), result.stderr
    assert result.stdout


@cache
def kubectl_help(*words: str) -> str:
    return output(kubectl(), *words, "--help") + output(kubectl(), "options")


@pytest.mark.parametrize("command", of("kubectl"), ids=named)
def test_kubectl_knows_the_flags(command: Command) -> None:
    words = command.arguments[2:] if command.arguments[0] == "-n" else command.arguments
    # A verb may have one of its own, as `rollout status`; what follows `--help` is that verb's page.
    depth = 3 if words[:2] == ("create", "secret") else 2 if words[0] in ("rollout", "create", "auth") else 1
    known = kubectl_help(*words[:depth])
    assert "Usage:" in known
    assert [flag for flag in flags(words) if not re.search(rf"{flag}(=|, )", known)] == []


def helm() -> str:
    program = shutil.which("helm", path=ROOT / ".local" / "helm") or shutil.which("helm")
    if program is None:
        pytest.skip("no helm in PATH or .local/helm: make helm")
    return program


@pytest.mark.parametrize("command", of("helm"), ids=named)
def test_helm_knows_the_flags(command: Command) -> None:
    known = output(helm(), command.arguments[0], "--help")
    assert [flag for flag in flags(command.arguments) if not re.search(rf"{flag}(,| )", known)] == []


@pytest.mark.parametrize("command", of("python"), ids=named)
def test_a_module_knows_the_flags(command: Command) -> None:
    module = command.arguments[1]
    known = output(sys.executable, "-m", module, "--help")
    assert [flag for flag in flags(command.arguments[2:]) if flag not in known] == []


@pytest.mark.parametrize("command", COMMANDS, ids=named)
def test_every_path_of_the_repository_exists(command: Command) -> None:
    folders = ("deploy/", "examples/", "requirements/", "tests/")
    words = (word.strip("$()") for word in command.arguments)
    paths = [word for word in words if word.startswith(folders)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("command", of("kubectl"), ids=named)
def test_a_folder_that_is_applied_is_one_of_the_installations(command: Command) -> None:
    folders = {ROOT / folder for flag, folder in pairwise(command.words) if flag == "-k"}
    assert folders <= {DEPLOY, *(DEPLOY / "overlays").iterdir()}


def test_the_names_in_the_commands_are_those_of_the_manifests() -> None:
    shipped = {
        (manifest["kind"].lower(), manifest["metadata"]["name"])
        for installation in ("default", "drain-watch")
        for manifest in installed(installation)
    }
    for command in of("kubectl"):
        for kind in ("deployment", "mutatingwebhookconfiguration"):
            names = [name for word, name in pairwise(command.words) if word == kind]
            names = [name for name in names if not name.startswith("-")]
            assert {(kind, name) for name in names} <= shipped | {(kind, "NAME")}


def test_the_namespaces_in_the_commands_are_those_of_the_examples() -> None:
    used = {name for command in of("kubectl") for flag, name in pairwise(command.words) if flag == "-n"}
    assert used <= {NAME, "workers", "shop"}


@pytest.mark.parametrize("way", ["## With Helm", "## With kustomize"])
def test_a_new_user_needs_five_commands(way: str) -> None:
    assert len(lines_below(ROOT / "docs" / "start" / "kind.md", way)) == 5
