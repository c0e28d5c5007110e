"""Decides whether a command may get a parent process, and with which settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from webhook.core.pod import Container, Pod
from webhook.core.recognize.command_line import CommandLine
from webhook.core.recognize.frameworks import Match
from webhook.core.recognize.launchers import Launch, basename
from webhook.core.recognize.processes import (
    checks_process_1,
    find_program_without_handlers,
    hides_signal_masks,
    may_die_of_term,
    must_be_process_1,
    signals_its_group,
)

_ANY_PROCESS = "*"
_ROOT = 0


class PodSandbox(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The properties of a pod that affect its containers' processes."""

    shares_processes: bool = False
    """Whether the containers share a process namespace."""
    hides_signal_masks: bool = False
    """Whether the sandbox hides which signals a process catches."""
    user: int | None = None
    run_as_non_root: bool = False


def sandbox_of(pod: Pod) -> PodSandbox:
    """Return the properties of a pod that affect its containers' processes."""
    spec = pod.spec
    return PodSandbox(
        shares_processes=bool(spec.share_process_namespace or spec.host_pid),
        hides_signal_masks=hides_signal_masks(spec.runtime_class or ""),
        user=spec.security.user if spec.security else None,
        run_as_non_root=bool(spec.security and spec.security.run_as_non_root),
    )


def explain_ignored_signals(line: CommandLine, sandbox: PodSandbox) -> str:
    """Return, as half a sentence, why process 1 of a container may ignore signals; empty if nothing suggests that."""
    # With a shared namespace, process 1 may be the pause container's. Signals without a handler then kill all other
    # processes.
    program = "" if sandbox.shares_processes else find_program_without_handlers(line.exec_chain)
    if program and may_die_of_term([program]):
        return f"{program} may or may not handle signals"
    return program and f"{program} ignores signals by default"


def explain_forbidden_parent(
    container: Container, argv: Sequence[str], launches: Iterable[Launch], sandbox: PodSandbox
) -> str:
    """Return, as half a sentence, why a container's command must not get a parent; empty if it may."""
    if must_be_process_1(argv):
        return f"{basename(argv[0])} has to be process 1"
    if signals_its_group(argv):
        return "it signals its own process group"
    if sandbox.hides_signal_masks:
        return "its sandbox does not show which signals a process handles"
    if _may_not_signal(container, launches, sandbox):
        return "without CAP_KILL, it cannot signal another user's process"
    if has_probe_of_process_1(container):
        return "a probe checks process 1"
    return ""


def has_probe_of_process_1(container: Container) -> bool:
    """Tell whether a probe checks process 1."""
    return any(probe.exec and checks_process_1(probe.exec.command or ()) for probe in container.probes)


def _may_not_signal(container: Container, launches: Iterable[Launch], sandbox: PodSandbox) -> bool:
    """Tell whether the container may change its user and lacks the capability to signal another user's processes."""
    security = container.security
    capabilities = security.capabilities if security else None
    if not capabilities or (security and security.privileged):
        return False
    dropped, added = _capability_names(capabilities.drop), _capability_names(capabilities.add)
    if added & {"KILL", "ALL"} or not dropped & {"KILL", "ALL"}:
        return False
    if any(launch.launcher.user for launch in launches):
        return True
    user = security.user if security and security.user is not None else sandbox.user
    own = security.run_as_non_root if security else None
    non_root = sandbox.run_as_non_root if own is None else own
    can_change = "SETUID" in added or not dropped & {"SETUID", "ALL"}
    return can_change and not non_root and user in (None, _ROOT)


def _capability_names(capabilities: Iterable[str] | None) -> set[str]:
    return {name.upper().removeprefix("CAP_") for name in capabilities or ()}


def parent_settings(
    original_grace: int, line: CommandLine, match: Match | None, signal: str, *, searches_descendants: bool
) -> list[str]:
    """Return the settings of parent.sh, in order.

    `signal` is a number, or empty for the received signal. `searches_descendants` means that a signal was requested for
    an unknown worker.
    """
    pattern = _search_pattern(line, match, searches_descendants=searches_descendants)
    launchers = {basename(launch.words[0]) for launch in line.launches if launch.launcher.stays}
    unknown = {basename(match.program.words[0])} if match and match.has_unknown_launcher else set()
    children = match.children_at_work if match else 0
    is_endless = match.program.is_endless if match else line.is_endless
    loop = ("endless" if is_endless else "loops") if is_looped(line, match) else ""
    return [str(original_grace), pattern, _names(launchers), _names(unknown), signal, str(children), loop]


def is_looped(line: CommandLine, match: Match | None) -> bool:
    """Tell whether a loop in the shell script restarts the worker."""
    return match.program.in_loop if match else line.has_loop


def _names(launchers: set[str]) -> str:
    """Join names, except those with characters by which a manifest could change the meaning."""
    plain = [name for name in launchers if name.replace("-", "").replace(".", "").replace("_", "").isalnum()]
    return "|".join(sorted(plain))


def _search_pattern(line: CommandLine, match: Match | None, *, searches_descendants: bool) -> str:
    if match and (match.has_unknown_launcher or not match.program.is_process_1):
        framework = match.framework
        words = [command for command in framework.commands if "|" not in command]
        return "|".join([*dict.fromkeys(words), *(f"={title}" for title in framework.titles)])
    if match:
        return ""
    if line.has_hidden_program:
        return _ANY_PROCESS
    searches = searches_descendants and not line.in_background
    return _ANY_PROCESS if searches and (line.in_shell or not find_program_without_handlers(line.exec_chain)) else ""
