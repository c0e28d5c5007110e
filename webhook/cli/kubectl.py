"""The command line as a plugin of kubectl: `kubectl graceful-worker …`, and its completion.

kubectl finds the programs by their names: https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from click.shell_completion import ShellComplete

from webhook.cli.commands import main
from webhook.cli.completion import VARIABLE

PLUGIN = "kubectl graceful-worker"
FILES, NO_FILES = 0, 4
"""What kubectl offers besides: https://pkg.go.dev/github.com/spf13/cobra#ShellCompDirective."""


def run() -> None:
    """Run the command line under the name that the user typed."""
    main(prog_name=PLUGIN)


def complete() -> None:
    """Complete the last argument: a line for each way to go on, then what the shell may offer besides."""
    click.echo("\n".join(completions(sys.argv[1:])))


def completions(words: Sequence[str]) -> list[str]:
    """Return the lines that kubectl expects."""
    *before, incomplete = words or [""]
    items = ShellComplete(main, {}, PLUGIN, VARIABLE).get_completions(list(before), incomplete)
    plain = [item for item in items if item.type == "plain"]
    lines = [f"{item.value}\t{item.help}" if item.help else str(item.value) for item in plain]
    return [*lines, f":{NO_FILES if len(lines) == len(items) else FILES}"]
