"""Options that can also be set by environment variables, and how their values are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias, TypeVar, cast

import click

from webhook.core.annotations import LONGEST_DURATION, duration
from webhook.core.decision import Policy
from webhook.core.shells import DEFAULT_IMAGE, Source

ENVIRONMENT_PREFIX = "GRACEFUL_WORKER_"
Command = TypeVar("Command", bound=Callable[..., Any])
Option: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


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


def setting(*names: str, **attributes: Any) -> Option:
    """Make an option that can also be set by an environment variable of its name."""
    variable = ENVIRONMENT_PREFIX + names[-1].lstrip("-").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, show_default=True, **attributes)


def policy_settings(command: Command) -> Command:
    """Add the options that make up the policy, which the command gets as `policy`."""

    @wraps(command)
    def with_policy(grace_period: int, shell_image: str, shell_source: str, **others: Any) -> Any:
        policy = Policy(grace_period, shell_image=shell_image, shell_source=Source(shell_source))
        return command(policy=policy, **others)

    return cast("Command", with_options(with_policy, _POLICY))


def with_options(command: Callable[..., Any], options: Sequence[Option]) -> Callable[..., Any]:
    """Add options, to be listed in their order."""
    for option in reversed(options):
        command = option(command)
    return command


_POLICY = (
    setting(
        "--grace-period",
        type=Duration(),
        default=Policy().grace_period,
        help="The grace period that worker pods get at least, unless their annotation says another.",
    ),
    setting(
        "--shell-image",
        default=DEFAULT_IMAGE,
        help="Image of the shell for pods that ask for one: it holds a static busybox as /bin/busybox.",
    ),
    setting(
        "--shell-source",
        type=click.Choice([source.value for source in Source]),
        default=Source.INIT_CONTAINER.value,
        help="How that shell comes into pods; image volumes need Kubernetes 1.35 or later.",
    ),
)
