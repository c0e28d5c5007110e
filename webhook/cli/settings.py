"""Options that can also be set by environment variables, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from webhook.core.annotations import LONGEST_DURATION, duration
from webhook.core.decision import Policy

ENVIRONMENT_PREFIX = "GRACEFUL_WORKER_"
Command = TypeVar("Command", bound=Callable[..., Any])


class Duration(click.ParamType[int]):
    """A duration of at least a second, such as 3600 or 1h30m; its value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the duration."""
        try:
            seconds = value if isinstance(value, int) else duration(value)
        except ValueError:
            seconds = 0
        if not 0 < seconds <= LONGEST_DURATION:
            self.fail(f"{value!r} is no duration; write seconds, or for example 90m or 1h30m (30d at most)", param, ctx)
        return seconds


def setting(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    """Make an option that can also be set by an environment variable of its name."""
    variable = ENVIRONMENT_PREFIX + names[-1].lstrip("-").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, show_default=True, **attributes)


def grace_period_setting(command: Command) -> Command:
    """Add the option for the grace period."""
    return setting(
        "--grace-period",
        type=Duration(),
        default=Policy().grace_period,
        help="The grace period that worker pods get at least, unless their annotation says another.",
    )(command)
