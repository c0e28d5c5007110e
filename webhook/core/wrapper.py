"""Builds, recognises and removes the commands that run the package's scripts."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.core import scripts

MOUNT_PATH = "/graceful-worker"
VOLUME = "graceful-worker"
MARKER = "graceful-worker"
"""$0 of every script; identifies wrapped commands."""
SHELL_VOLUME = "graceful-worker-shell"
SHELL_MOUNT_PATH = "/graceful-worker-shell"
COPIED_SHELL = f"{MOUNT_PATH}/.bin/sh"
"""The shell that an init container copies into the shared volume; worker folders cannot have this name."""
MOUNTED_SHELL = f"{SHELL_MOUNT_PATH}/bin/sh"
"""The shell in a mounted image."""

SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "USR1": 10, "USR2": 12, "TERM": 15, "CONT": 18, "TSTP": 20, "WINCH": 28}
"""Linux signal numbers by name without SIG."""

_OTHER_SIGNALS = {
    **{"ILL": 4, "TRAP": 5, "ABRT": 6, "IOT": 6, "BUS": 7, "FPE": 8, "SEGV": 11, "PIPE": 13, "ALRM": 14, "STKFLT": 16},
    **{"TTIN": 21, "TTOU": 22, "URG": 23, "XCPU": 24, "XFSZ": 25, "VTALRM": 26, "PROF": 27, "IO": 29, "POLL": 29},
    **{"PWR": 30, "SYS": 31, "RTMIN": 34, "RTMAX": 64},
    **{f"RTMIN+{step}": 34 + step for step in range(1, 16)},
    **{f"RTMAX-{step}": 64 - step for step in range(1, 15)},
}
_NUMBERS = SIGNALS | _OTHER_SIGNALS
"""Without the signals that a script cannot handle, and CHLD, which it gets from its own processes."""


def signal_number(signal: str) -> str:
    """Return the number of a signal's name without SIG; empty if a script cannot handle it."""
    number = _NUMBERS.get(signal)
    return str(number) if number else signal if signal in map(str, _NUMBERS.values()) else ""


def _other_than_term(stop_signal: str) -> list[str]:
    """Return the number of a kubelet's signal as a setting, which scripts do not have for TERM."""
    return [number for number in [signal_number(stop_signal)] if number not in ("", "15")]


def _script_name(shell: str) -> str:
    """Return $0: next to an injected shell, where the script finds mkdir, rm and sleep."""
    return f"{shell.rpartition('/')[0]}/{MARKER}" if shell in (COPIED_SHELL, MOUNTED_SHELL) else MARKER


_MARKERS = frozenset({MARKER, _script_name(COPIED_SHELL), _script_name(MOUNTED_SHELL)})

_PREFIX = 6
"""The words of a wrapper: shell, -c, script, marker, folder, settings."""
_OLD_MODES = ("loop", "signal")
"""The sixth word in releases that had seven: the mode, followed by its setting."""


def folder(container: str) -> str:
    """Return the path of a container's folder in the shared volume."""
    return f"{MOUNT_PATH}/{container}"


def _command(shell: str, script: str, folder: str, settings: str) -> list[str]:
    return [shell, "-c", script, _script_name(shell), folder, settings]


def loop(shell: str, container: str, delay: int, stop_signal: str, message_file: str) -> list[str]:
    """Return the wrapper that runs a command in a loop, with `delay` seconds between runs."""
    settings = scripts.keep_from_expansion(f"{','.join([str(delay), *_other_than_term(stop_signal)])} {message_file}")
    return _command(shell, scripts.LOOP, folder(container), settings)


def parent(shell: str, container: str, settings: Sequence[str], stop_signal: str) -> list[str]:
    """Return the parent process for a command; parent.sh explains its settings."""
    script = scripts.parent(finds_worker=bool(settings[1]))
    return _command(shell, script, folder(container), ";".join([*settings, *_other_than_term(stop_signal)]))


def worker_hook(
    shell: str, container: str, action: str, *, sidecars_wait: bool, chained: bool, process_1_is_wrapper: bool = False
) -> list[str]:
    """Return what precedes a worker's own preStop hook; `action` is a word, possibly with numbers."""
    kind, _, numbers = action.partition(" ")
    script = scripts.worker_hook(
        kind, sidecars_wait=sidecars_wait, chained=chained, process_1_is_wrapper=process_1_is_wrapper
    )
    return _command(shell, script, folder(container), numbers)


def sidecar_hook(shell: str, own_folder: str, workers: Sequence[str], own_hook_limit: int | None) -> list[str]:
    """Return what precedes a sidecar's own preStop hook, which gets that many seconds; None if it has none."""
    chained = own_hook_limit is not None
    limit = f";{own_hook_limit}" if chained else ""
    settings = f"{' '.join(map(folder, workers))}{limit}"
    return _command(shell, scripts.sidecar_hook(chained=chained, has_parent=bool(own_folder)), own_folder, settings)


def find_wrapper(command: Sequence[str]) -> tuple[int, int] | None:
    """Find the wrapper in a command, even after another webhook's words: start and end, or None."""
    if not command or _MARKERS.isdisjoint(command):
        return None
    for start in range(len(command) - _PREFIX + 1):
        if command[start + 1] == "-c" and command[start + 3] in _MARKERS:
            return start, start + _PREFIX + (command[start + 5] in _OLD_MODES)
    return None


def wrapped_command(command: Sequence[str]) -> Sequence[str]:
    """Return a command without the wrapper."""
    found = find_wrapper(command)
    return command[found[1] :] if found else command


def remove_wrapper(command: Sequence[str]) -> list[str]:
    """Return a command without the wrapper; another webhook's words before it stay."""
    return wrap(command, ())


def is_wrapped(command: Sequence[str]) -> bool:
    """Tell whether a command line contains a wrapper."""
    return find_wrapper(command) is not None


def wrap(command: Sequence[str], ours: Sequence[str]) -> list[str]:
    """Wrap a command, replacing an existing wrapper; another webhook's words before it stay."""
    found = find_wrapper(command)
    start, end = found or (0, 0)
    return [*command[:start], *ours, *command[end:]]
