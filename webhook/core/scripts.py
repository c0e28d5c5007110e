"""The shell scripts in pods, each composed of files in webhook/shell."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from string import ascii_lowercase

_COMMENT = re.compile(r"^\s*#.*\n|^\s*\n", re.MULTILINE)
_INDENT = re.compile(r"^ +", re.MULTILINE)
_NAME = re.compile(r"\bgw_[a-z_]+")
_WITH_LONG_NAMES: dict[str, str] = {}
_EXPANDED = re.compile(r"\$(?=[$(])")


class Script(str):
    """A script that many pods contain. Its own type lets serialisers encode it only once."""

    __slots__ = ()


def keep_from_expansion(text: str) -> str:
    """Escape `$` so that the kubelet's expansion of `$(NAME)` and `$$` in `command` and `args` restores the text.

    https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/
    """
    return _EXPANDED.sub("$$", text)


@cache
def _part(name: str) -> str:
    """Read a part without comments, empty lines and indentation: every byte is stored in etcd with each pod."""
    text = files("webhook.shell").joinpath(f"{name}.sh").read_text(encoding="utf-8")
    return _INDENT.sub("", _COMMENT.sub("", text))


def _script(*parts: str) -> Script:
    """Put parts together."""
    text = _text(*parts)
    script = Script(_with_short_names(text))
    _WITH_LONG_NAMES[script] = text
    return script


def _text(*parts: str) -> str:
    return "".join(map(_part, parts))


def _with_short_names(text: str) -> str:
    """Shorten the names of variables, which make up a third of a hook."""
    names = sorted(set(_NAME.findall(text)), key=lambda name: (-text.count(name) * len(name), name))
    short = {name: f"gw_{_letters(place)}" for place, name in enumerate(names)}
    return _NAME.sub(lambda found: short[found[0]], text)


def with_long_names(script: str) -> str:
    """Return a script with its original variable names, for reading and linting."""
    return _WITH_LONG_NAMES[script]


def _letters(place: int) -> str:
    return ascii_lowercase[place] if place < 26 else _letters(place // 26 - 1) + ascii_lowercase[place % 26]


def _for_command(text: str) -> Script:
    """Return a script for a command, which the kubelet expands.

    See ExpandContainerCommandAndArgs in pkg/kubelet/container/helpers.go. Hooks are not expanded (handlerRunner.Run in
    pkg/kubelet/lifecycle/handlers.go).
    """
    return Script(keep_from_expansion(text))


LOOP = _for_command(_script("arguments", "path", "environment", "clock", "open-fifo", "already-draining", "loop"))
COPY_SHELL = _for_command(_script("copy-shell"))
_HIDE = ("arguments", "path", "hide-arguments", "environment", "exec-without-arguments")


def parent_first() -> Script:
    """Return the first script of a parent, which execs a shell whose command line lacks the worker's words."""
    return _script(*_HIDE)


def parent_then(*, finds_worker: bool) -> Script:
    """Return the second script of a parent."""
    return _script(*_parent_parts(finds_worker=finds_worker))


@cache
def parent(*, finds_worker: bool) -> Script:
    """Return the script of a parent; with `finds_worker`, it searches for the worker below the command."""
    then = _text(*_parent_parts(finds_worker=finds_worker)).replace("'", "'\\''")
    return _for_command(_with_short_names(f"gw_main='{then}'\n{_text(*_HIDE)}"))


def _parent_parts(*, finds_worker: bool) -> tuple[str, ...]:
    targets = ("parent-find-workers",) if finds_worker else ()
    return (
        "read-arguments",
        "path",
        "environment",
        "signal-handlers",
        "clock",
        "deadline",
        "handles-signal",
        "open-fifo",
        "already-draining",
        *targets,
        "parent",
    )


@cache
def worker_hook(action: str, *, sidecars_wait: bool, chained: bool, process_1_is_wrapper: bool = False) -> Script:
    """Return the preStop script of a worker.

    `action` is "listen", "send", "stay", or empty. With `sidecars_wait`, sidecars notice when the container ends.
    `chained` means that another hook follows, `process_1_is_wrapper` that process 1 is a loop or a parent.
    """
    stays = action in ("send", "stay")
    names = ["arguments", "path"]
    names += ["signal-handlers"] if chained or sidecars_wait or stays else []
    names += ["clock"]
    names += ["open-fifo"] if sidecars_wait or stays else []
    steps = ["hook-make-folder", *(["hook-open-fifo"] if sidecars_wait or stays else []), "hook-create-kill-file"]
    # The kill file must not wait for the processes of `environment`.
    steps += ["environment", "hook-run-original"] if chained else []
    if action in ("listen", "send"):
        names += ["handles-signal"]
    if action == "listen":
        steps += ["hook-wait-for-handler"]
    if action == "send" or (sidecars_wait and not process_1_is_wrapper):
        names += ["count-children"]
    if stays:
        steps += ["hook-send-signal"] if action == "send" else []
        steps += ["hook-wait-for-container-end"]
    elif sidecars_wait and process_1_is_wrapper:
        steps += ["hook-heartbeat"]
    elif sidecars_wait:
        names += ["deadline"]
        steps += ["hook-keep-fifo-open"]
    return _script(*names, *steps, *([] if stays else ["hook-exit"]))


@cache
def sidecar_hook(*, chained: bool, has_parent: bool) -> Script:
    """Return the preStop script of a sidecar.

    `chained` means that another hook follows, `has_parent` that process 1 is a parent, which reads the kill file.
    """
    names = ["arguments", "path", "signal-handlers", "clock"]
    steps = ["hook-make-folder", "hook-create-kill-file"] if has_parent else []
    steps += ["sidecar-prestop"]
    if chained:
        names += ["deadline"]
        steps += ["environment", "sidecar-run-original"]
    return _script(*names, *steps)
