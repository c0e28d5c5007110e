"""Options that can also be set by environment variables, and their types."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

import click
import msgspec

from webhook.core.annotations import LONGEST_DURATION, duration
from webhook.core.policy import (
    DEFAULT_SHELL_CPU,
    DEFAULT_SHELL_IMAGE,
    DEFAULT_SHELL_MEMORY,
    Policy,
    RegistryTrouble,
    ShellSource,
)

ENVIRONMENT_PREFIX = "GRACEFUL_WORKER_"
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_QUANTITY = re.compile(r"(?=.*[1-9])[0-9]+(?:\.[0-9]+)?(?:m|k|M|G|Ki|Mi|Gi)?", re.ASCII)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
Command = TypeVar("Command", bound=Callable[..., Any])
Option: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


class Duration(click.ParamType[int]):
    """A duration of at least one second, such as 3600 or 1h30m; the value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the duration."""
        try:
            seconds = value if isinstance(value, int) else duration(value)
        except ValueError:
            seconds = 0
        if not 0 < seconds <= LONGEST_DURATION:
            self.fail(
                f"{value!r} is not a duration; use seconds, or units as in 90m or 1h30m (at most 30d)", param, ctx
            )
        return seconds


class Quantity(click.ParamType[str]):
    """A Kubernetes resource quantity."""

    name = "quantity"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check the quantity."""
        if not _QUANTITY.fullmatch(value):
            self.fail(f"{value!r} is not a resource quantity; use a value such as 50m or 16Mi", param, ctx)
        return str(value)


def setting(*names: str, **attributes: Any) -> Option:
    """Make an option that can also be set by an environment variable with its name."""
    variable = ENVIRONMENT_PREFIX + names[-1].lstrip("-").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, show_default=True, **attributes)


def policy_settings(command: Command) -> Command:
    """Add the options of the policy, passed to the command as `policy`, with other options that are its fields."""

    @wraps(command)
    def with_policy(**values: Any) -> Any:
        fields = {name: values.pop(name) for name in Policy.__struct_fields__ if name in values}
        return command(policy=msgspec.convert(fields, Policy), **values)

    return cast("Command", with_options(with_policy, _POLICY))


def with_options(command: Callable[..., Any], options: Sequence[Option]) -> Callable[..., Any]:
    """Add options, listed in this order."""
    for option in reversed(options):
        command = option(command)
    return command


_POLICY = (
    setting(
        "--grace-period",
        type=Duration(),
        default=Policy().grace_period,
        help="Minimum grace period of worker pods without the annotation for it.",
    ),
    setting(
        "--shell-image",
        default=DEFAULT_SHELL_IMAGE,
        help="Image of the injected shell; it must contain a static busybox at /bin/busybox.",
    ),
    setting(
        "--shell-source",
        type=click.Choice([source.value for source in ShellSource]),
        default=ShellSource.INIT_CONTAINER.value,
        help="How the shell is injected into pods; image-volume needs Kubernetes 1.35 or later.",
    ),
    setting(
        "--shell-cpu",
        type=Quantity(),
        default=DEFAULT_SHELL_CPU,
        help="CPU request and limit of the init container that injects the shell.",
    ),
    setting(
        "--shell-memory",
        type=Quantity(),
        default=DEFAULT_SHELL_MEMORY,
        help="Memory request and limit of the init container that injects the shell.",
    ),
    setting(
        "--registry-trouble",
        type=click.Choice([choice.value for choice in RegistryTrouble]),
        default=RegistryTrouble.ADMIT.value,
        help="What to do with a worker whose image cannot be looked up because its registry does not respond: admit it "
        "as an unknown worker with a warning, or refuse it.",
    ),
)
