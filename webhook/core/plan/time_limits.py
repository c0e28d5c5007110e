"""Detects worker settings that conflict with a long grace period, as far as the manifest shows them."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.core.annotations import Mode
from webhook.core.plan.parent import has_probe_of_process_1
from webhook.core.pod import Container
from webhook.core.reasons import Finding, Reason
from webhook.core.recognize.frameworks import Limit, Match, Runtime, option_value


def cautions(
    container: Container, match: Match | None, mode: Mode, grace: int, runtime: Runtime | None
) -> list[Finding]:
    """Return cautions about settings that end the worker's messages, or its pod, too early."""
    name = container.name
    findings = []
    if has_probe_of_process_1(container):
        findings.append(Finding(Reason.PROBE_OF_PROCESS_1, name))
    if runtime:
        findings.append(Finding(Reason.FRAMEWORK_CAUTION, name, runtime.caution))
    if match is None:
        return findings
    framework = match.framework
    if not framework.conditions and not framework.limits:
        return findings
    words = match.program.words[match.behind :]
    variables = {variable.name: variable.value or "" for variable in container.env or ()}
    findings += [
        Finding(Reason.FRAMEWORK_CAUTION, name, condition.caution)
        for condition in framework.conditions
        if condition.holds(words, variables)
    ]
    added = {flag for row in framework.flags if row.mode is mode for flag in row.names}
    for limit in framework.limits if mode is Mode.SIGNAL else ():
        given = _given(limit, words, variables)
        if given is None and added & set(limit.flags):
            # The flag is added, or reported as missing.
            continue
        seconds = limit.default if given is None else given
        if 0 < seconds < grace - 60:
            findings.append(Finding(Reason.OWN_LIMIT, name, f"{seconds:g} s: raise {limit.switch}"))
    return findings


def _given(limit: Limit, words: Sequence[str], variables: dict[str, str]) -> float | None:
    text = option_value(words, limit.flags) if limit.flags else None
    if text is None and limit.env:
        text = variables.get(limit.env)
    if text is None:
        return None
    try:
        return float(text) * limit.unit
    except ValueError:
        return 0
