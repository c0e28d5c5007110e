"""The flags that a worker's command needs for its mode."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from webhook.core.annotations import Mode
from webhook.core.reasons import Finding, Kind, Reason
from webhook.core.recognize.frameworks import Flag, Match, option_index

EXIT_MARGIN = 10
"""Seconds of the grace period that a worker's own time limit leaves for exiting."""


class Edit(msgspec.Struct, frozen=True):
    """An edit of a command line: from an index on, `old` words become `new` words."""

    index: int
    old: tuple[str, ...]
    new: tuple[str, ...]


class FlagPlan(msgspec.Struct, frozen=True):
    """The edits of a command line, from last to first so that indexes stay valid, and the findings."""

    edits: tuple[Edit, ...] = ()
    findings: tuple[Finding, ...] = ()

    def for_unchangeable_command(self) -> FlagPlan:
        """Return the findings for a command line that cannot be changed."""
        findings = (
            replace(finding, reason=Reason.FLAGS_MISSING) if finding.reason is Reason.FLAGS_ADDED else finding
            for finding in self.findings
        )
        return FlagPlan((), tuple(finding for finding in findings if finding.reason.kind is not Kind.CHANGE))


def plan_flags(argv: Sequence[str], match: Match | None, mode: Mode, grace: int | None, container: str) -> FlagPlan:
    """Add the flags that the mode needs after the worker's last known word, so that they are not after a `--`.

    `match` has the values of the variables that `argv` refers to. `grace` is None if the pod keeps its grace period;
    then the worker's own time limit stays, too.
    """
    if match is None:
        return FlagPlan()
    program = match.program
    edits: list[Edit] = []
    findings: list[Finding] = []
    missing: list[str] = []
    for flag in match.framework.flags:
        if flag.mode is not mode:
            continue
        if not flag.given_in(program.words):
            missing += _flag_words(flag, grace)
            continue
        given = flag.value_in(program.words)
        if flag.most and given is None:
            what = f"{flag.names[0]} has no known value; it must be at most {flag.most}."
            findings.append(Finding(Reason.FRAMEWORK_CAUTION, container, what))
        if not flag.most or given is None or given <= flag.most:
            continue
        # The value of a variable may be secret.
        is_written = any(str(given) in word for word in argv)
        change = f"{flag.names[0]}{f'={given}' if is_written else ''} to {flag.most}"
        if flag.lowers and program.start is not None:
            edits.append(_lower(flag, argv, program.words, program.start))
            findings.append(Finding(Reason.FLAGS_LOWERED, container, change))
        else:
            findings.append(Finding(Reason.FLAG_TOO_HIGH, container, change))
    if missing:
        detail = " ".join(missing)
        if program.start is None:
            findings.append(Finding(Reason.FLAGS_MISSING, container, detail))
        else:
            edits.append(Edit(program.start + match.end, (), tuple(missing)))
            findings.append(Finding(Reason.FLAGS_ADDED, container, detail))
    return FlagPlan(tuple(sorted(edits, key=lambda edit: -edit.index)), tuple(findings))


def _flag_words(flag: Flag, grace: int | None) -> list[str]:
    if grace is None:
        return [] if any("{" in word for word in flag.add) else list(flag.add)
    room = max(grace - EXIT_MARGIN, 1)
    return [word.format(grace_seconds=room, grace_milliseconds=room * 1000) for word in flag.add]


def _lower(flag: Flag, argv: Sequence[str], words: Sequence[str], start: int) -> Edit:
    """Replace the words of a flag with those that would be added if it were missing."""
    index = option_index(words, flag.names) or 0
    size = 2 if words[index] in flag.names else 1
    return Edit(start + index, tuple(argv[start + index : start + index + size]), flag.add)
