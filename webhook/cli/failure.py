"""How a command fails."""

from __future__ import annotations

import sys
from typing import NoReturn

import click


def fail(message: str, exit_code: int = 1) -> NoReturn:
    """Print the message to standard error and exit."""
    click.echo(message, err=True)
    sys.exit(exit_code)
