"""Shell completion: the script that a shell reads, by Click's own."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

PROGRAM = "graceful-worker"
VARIABLE = "_GRACEFUL_WORKER_COMPLETE"
"""By this one Click is asked for completions: https://click.palletsprojects.com/en/stable/shell-completion/."""
_SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(_SHELLS)))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
      bash   source <(graceful-worker completion bash)      in ~/.bashrc
      zsh    source <(graceful-worker completion zsh)       in ~/.zshrc, behind compinit
      fish   graceful-worker completion fish | source       in ~/.config/fish/config.fish
    """  # noqa: D301 - by this character click keeps the lines
    click.echo(_SHELLS[shell](context.find_root().command, {}, PROGRAM, VARIABLE).source())
