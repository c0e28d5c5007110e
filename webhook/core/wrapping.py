"""The commands that run the package's shell scripts: how they are put together, recognised, and taken apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files

import msgspec

MOUNT_PATH = "/graceful-worker"
VOLUME = "graceful-worker"
MARKER = "graceful-worker"
"""$0 of every script: by it, a command is known to be ours."""
SHELL_VOLUME = "graceful-worker-shell"
SHELL_MOUNT_PATH = "/graceful-worker-shell"
COPIED_SHELL = f"{MOUNT_PATH}/.bin/sh"
"""A shell that an init container has copied into the shared volume; no worker's folder can have this name."""
MOUNTED_SHELL = f"{SHELL_MOUNT_PATH}/bin/sh"
"""A shell in an image that is mounted."""


def _script_name(shell: str) -> str:
    """Return $0: beside a shell that was brought into the pod, where the script finds mkdir, rm and sleep."""
    return f"{shell.rpartition('/')[0]}/{MARKER}" if shell in (COPIED_SHELL, MOUNTED_SHELL) else MARKER


_MARKERS = frozenset({MARKER, _script_name(COPIED_SHELL), _script_name(MOUNTED_SHELL)})

_COMMENT = re.compile(r"^\s*#.*\n|^\s*\n", re.MULTILINE)
_EXPANDED = re.compile(r"\$(?=[$(])")


def _script(name: str) -> str:
    """Read a script of the package as pods carry it: without comments and empty lines."""
    text = files("webhook.shell").joinpath(name).read_text(encoding="utf-8")
    return _COMMENT.sub("", text)


def keep_from_expansion(text: str) -> str:
    """Write `$` so that the kubelet's expansion of `$(NAME)` and `$$` in `command` and `args` gives the text back.

    https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/
    """
    return _EXPANDED.sub("$$", text)


# The kubelet expands commands (ExpandContainerCommandAndArgs in pkg/kubelet/container/helpers.go), but no hooks
# (handlerRunner.Run in pkg/kubelet/lifecycle/handlers.go).
WORKER_SCRIPT = keep_from_expansion(_script("worker.sh"))
WORKER_HOOK_SCRIPT = _script("worker-prestop.sh")
SIDECAR_HOOK_SCRIPT = _script("sidecar-prestop.sh")
BRING_SHELL_SCRIPT = keep_from_expansion(_script("bring-shell.sh"))

AWAITS_CHILD = "+child"
"""Behind a signal's name: the wrapper sends it once the worker has a child, or a second later."""

_SCRIPT_ARGUMENTS = 4  # shell, -c, script, marker
_WRAPPER_ARGUMENTS = _SCRIPT_ARGUMENTS + 3  # folder, mode, setting
_HOOK_ARGUMENTS = _SCRIPT_ARGUMENTS + 1  # folder or folders


class Wrapped(msgspec.Struct, frozen=True):
    """A container's command and args with the wrapper."""

    command: list[str]
    args: list[str]


def folder(container: str) -> str:
    """Return the path of a worker's folder in the shared volume."""
    return f"{MOUNT_PATH}/{container}"


def wrap(shell: str, container: str, mode: str, setting: str, argv: Sequence[str]) -> Wrapped:
    """Put the wrapper before an argv, which stays in `args`, where the kubelet expands it as before."""
    command = [shell, "-c", WORKER_SCRIPT, _script_name(shell), folder(container), mode, setting]
    return Wrapped(command, list(argv))


def worker_hook(shell: str, container: str, hook: Sequence[str]) -> list[str]:
    """Return the command of a worker's preStop hook; `hook` is the exec command that was there, or empty."""
    return [shell, "-c", WORKER_HOOK_SCRIPT, _script_name(shell), folder(container), *hook]


def sidecar_hook(shell: str, workers: Sequence[str], hook: Sequence[str]) -> list[str]:
    """Return the command of a sidecar's preStop hook; `hook` is the exec command that was there, or empty."""
    return [shell, "-c", SIDECAR_HOOK_SCRIPT, _script_name(shell), " ".join(map(folder, workers)), *hook]


def is_ours(command: Sequence[str]) -> bool:
    """Tell whether a command begins with one of our scripts."""
    return len(command) >= _HOOK_ARGUMENTS and command[1] == "-c" and command[3] in _MARKERS


def wrapped_argv(argv: Sequence[str]) -> Sequence[str] | None:
    """Return what the wrapper runs, whatever another webhook has put before it; None where there is no wrapper."""
    if _MARKERS.isdisjoint(argv):
        return None
    for start in range(len(argv) - _WRAPPER_ARGUMENTS + 1):
        if is_ours(argv[start : start + _WRAPPER_ARGUMENTS]):
            return argv[start + _WRAPPER_ARGUMENTS :]
    return None


def is_wrapped(argv: Sequence[str]) -> bool:
    """Tell whether the wrapper is in a command line."""
    return wrapped_argv(argv) is not None


def begins_with_wrapper(command: Sequence[str]) -> bool:
    """Tell whether a container's command is the wrapper as wrap() has put it there, and nothing else."""
    return is_ours(command) and len(command) == _WRAPPER_ARGUMENTS


def chained_hook(command: Sequence[str]) -> list[str]:
    """Return the hook that a preStop command runs apart from ours: the whole command where none of it is ours."""
    return list(command[_HOOK_ARGUMENTS:] if is_ours(command) else command)
