"""How a command fails."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

EXIT_UNKNOWN = 2
"""The exit code if the cluster cannot be read, so that nothing is known."""


def fail(message: str, exit_code: int = 1) -> NoReturn:
    """Print the message to standard error and exit."""
    click.echo(message, err=True)
    sys.exit(exit_code)
