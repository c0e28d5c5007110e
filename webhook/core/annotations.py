"""The label and annotations that configure a pod: names, accepted values, meaning."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import msgspec

from webhook.core.errors import Refused
from webhook.core.formatting import quoted
from webhook.core.reasons import Reason
from webhook.core.wrapper import MOUNT_PATH, SHELL_MOUNT_PATH

PREFIX = "graceful-worker/"
LABEL = "graceful-worker"
LABEL_ENABLED = "enabled"
LABEL_DISABLED = "disabled"
INJECTED_LABEL = f"{PREFIX}injected"
STATUS_ANNOTATION = f"{PREFIX}status"

LONGEST_DURATION = 30 * 86400
HEARD_SIGNALS = ("TERM", "INT", "QUIT", "HUP")
"""The stop signals that the wrapper handles, whatever it forwards."""
PASSED_SIGNALS = (*HEARD_SIGNALS, "USR1", "USR2", "TSTP", "WINCH")

LONGEST_CONTAINER_NAME = 63
CONTAINER_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
# Seconds without a unit must stand alone, because someone who writes 1h30 means 90 minutes.
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?|(\d+)", re.ASCII)
_OWN_PATHS = (f"{MOUNT_PATH}/", f"{SHELL_MOUNT_PATH}/")
_PATH = re.compile(r"(/[A-Za-z0-9._+-]+)+", re.ASCII)


class Mode(Enum):
    """How the wrapper runs the worker; with AUTO, the command line decides."""

    AUTO = "auto"
    LOOP = "loop"
    SIGNAL = "signal"


class Sidecars(Enum):
    """How sidecars outlive the worker."""

    HOOK = "hook"
    NATIVE = "native"
    IGNORE = "ignore"


class Istio(Enum):
    """Whether the pod is opted out of Istio's sidecar."""

    OPT_OUT = "opt-out"
    KEEP = "keep"


class Evict(Enum):
    """Whether the pod may be evicted, and whether evictions may shorten its grace period."""

    ALLOW = "allow"
    NEVER = "never"
    AS_ASKED = "as-asked"


INJECTED_SHELL = "injected"
DEFAULT_SHELL = "/bin/sh"


class Settings(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The settings in a pod's annotations; None where an annotation is missing. Durations are in seconds."""

    mode: Mode = Mode.AUTO
    containers: tuple[str, ...] = ()
    command: tuple[str, ...] | None = None
    grace_period: int | None = None
    stop_signal: str | None = None
    loop_delay: int | None = None
    istio: Istio | None = None
    sidecars: Sidecars = Sidecars.HOOK
    shell: str = DEFAULT_SHELL
    evict: Evict = Evict.ALLOW


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotation: its name under the prefix, accepted values, meaning, and parser."""

    name: str
    accepts: str
    meaning: str
    read: Callable[[str], Any]

    @property
    def key(self) -> str:
        """The annotation's full name."""
        return PREFIX + self.name

    @property
    def field(self) -> str:
        """The field of Settings that the annotation sets."""
        return self.name.replace("-", "_")


@lru_cache(256)
def duration(text: str) -> int:
    """Parse a duration (`3600`, `90s`, `1h30m`) into seconds; if one number has a unit, all need one.

    Raises:
        ValueError: the text is not a duration, or more than 30 days.

    """
    parts = _DURATION.fullmatch(text) if 0 < len(text) <= 20 else None
    if parts is None:
        raise ValueError(text)
    days, hours, minutes, seconds, alone = (int(part or 0) for part in parts.groups())
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds + alone
    if total > LONGEST_DURATION:
        raise ValueError(text)
    return total


def _grace_period(text: str) -> int:
    seconds = duration(text)
    if not seconds:
        raise ValueError(text)
    return seconds


def _containers(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if len(set(names)) < len(names) or not all(map(CONTAINER_NAME.fullmatch, names)):
        raise ValueError(text)
    return names


def _command(text: str) -> tuple[str, ...]:
    try:
        words = msgspec.json.decode(text, type=list[str])
    except msgspec.DecodeError as error:
        raise ValueError(text) from error
    if not words or not words[0]:
        raise ValueError(text)
    return tuple(words)


def _signal(text: str) -> str:
    name = text.removeprefix("SIG")
    if name not in PASSED_SIGNALS:
        raise ValueError(text)
    return name


def _shell(text: str) -> str:
    # The injected shells exist only where they are injected.
    if text != INJECTED_SHELL and (not _PATH.fullmatch(text) or f"{text}/".startswith(_OWN_PATHS)):
        raise ValueError(text)
    return text


ANNOTATIONS = (
    Annotation(
        "mode",
        "auto, loop or signal",
        "How the worker runs: in a loop, one message per run (loop), or once, until a signal stops it (signal).",
        Mode,
    ),
    Annotation(
        "containers",
        "container names, each once, separated by commas",
        "Which containers are workers; all others are sidecars.",
        _containers,
    ),
    Annotation(
        "command",
        'a JSON array of strings, such as ["php", "bin/console", "messenger:consume"]',
        "The worker's command, if the manifest has none because it is in the image.",
        _command,
    ),
    Annotation(
        "grace-period",
        "seconds, or a duration with a unit after every number, such as 3600, 90m or 1h30m; 1s to 30d",
        "The longest time that one message can take, plus a margin; the pod's grace period is raised to this value.",
        _grace_period,
    ),
    Annotation(
        "stop-signal",
        f"one of {', '.join(PASSED_SIGNALS)}",
        "The signal that makes the worker finish its message and exit; implies signal mode.",
        _signal,
    ),
    Annotation(
        "loop-delay",
        "seconds, or a duration with a unit after every number, such as 5 or 1m; at most 30d",
        "The pause between two runs in loop mode.",
        duration,
    ),
    Annotation(
        "istio",
        "opt-out or keep",
        "Whether to opt the pod out of Istio's sidecar; keep asks Istio for a native sidecar instead.",
        Istio,
    ),
    Annotation(
        "sidecars",
        "hook, native or ignore",
        "How sidecars outlive the worker: by a preStop hook (hook), as native sidecars (native), not at all (ignore).",
        Sidecars,
    ),
    Annotation(
        "shell",
        "the absolute path of a POSIX shell in the image, such as /bin/bash, or injected",
        "The shell that runs the wrapper and the preStop hook: a path in the worker's image (sidecars use /bin/sh), or "
        "injected, for images without a shell.",
        _shell,
    ),
    Annotation(
        "evict",
        "allow, never or as-asked",
        "Whether cluster autoscaler and Karpenter may evict the pod; as-asked lets evictions shorten its grace period.",
        Evict,
    ),
)

_BY_KEY = {annotation.key: annotation for annotation in ANNOTATIONS}


def read_settings(annotations: dict[str, str]) -> Settings:
    """Read the annotations under the prefix.

    Raises:
        Refused: one of them is unknown, or its value is not valid.

    """
    values: dict[str, Any] = {}
    for key, value in annotations.items():
        if not key.startswith(PREFIX) or key == STATUS_ANNOTATION:
            continue
        annotation = _BY_KEY.get(key)
        if annotation is None:
            known = ", ".join(annotation.name for annotation in ANNOTATIONS)
            detail = f"annotation {quoted(key)[1:-1]} = {quoted(value)}; known names: {known}"
            raise Refused(Reason.ANNOTATION_UNKNOWN, detail=detail)
        try:
            values[annotation.field] = annotation.read(value)
        except ValueError:
            detail = f"annotation {key} is {quoted(value)}; accepted: {annotation.accepts}"
            raise Refused(Reason.ANNOTATION_INVALID, detail=detail) from None
    return Settings(**values)


def annotation_of(field: str) -> str:
    """Return the name of the annotation that sets a field of Settings.

    Raises:
        KeyError: there is no such field.

    """
    return _BY_KEY[PREFIX + field.replace("_", "-")].key
