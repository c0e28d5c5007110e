"""Warns of what can end a worker's messages, or its pod, too early, as far as the manifest shows it."""

from __future__ import annotations

from collections.abc import Sequence

from webhook.core.annotations import Mode
from webhook.core.plan.mode import ends_by_itself
from webhook.core.plan.parent import has_probe_of_process_1
from webhook.core.plan.worker_facts import ExaminedWorker
from webhook.core.reasons import Finding, Reason
from webhook.core.recognize.frameworks import Limit, Match, option_value
from webhook.core.wrapper import SIGNALS

_PREPARES = "its entrypoint runs before each message: leave it out if it runs migrations."

_PROBE = "a probe checks process 1, which is a shell in loop mode; make sure that it passes."


def find_cautions(worker: ExaminedWorker, mode: Mode) -> list[Finding]:
    """Return the cautions about a worker in its mode."""
    name, framework, launches = worker.container.name, worker.framework, worker.line.launches
    findings = []
    if mode is Mode.LOOP and worker.has_own_loop:
        findings.append(Finding(Reason.OWN_LOOP, name))
    if mode is Mode.LOOP and any(launch.launcher.prepares for launch in launches):
        findings.append(Finding(Reason.FRAMEWORK_CAUTION, name, _PREPARES))
    signal = framework.signal if framework and mode is Mode.SIGNAL else ""
    if signal and any(launch.loses_signal(SIGNALS[signal]) for launch in launches):
        what = f"its launcher rewrites signals, and the worker needs {signal}."
        findings.append(Finding(Reason.FRAMEWORK_CAUTION, name, what))
    if framework and mode is Mode.LOOP and framework.mode is Mode.SIGNAL:
        findings.append(Finding(Reason.NEVER_RETURNS, name))
    if framework and framework.caution and mode is Mode.SIGNAL and not ends_by_itself(worker):
        findings.append(Finding(Reason.FRAMEWORK_CAUTION, name, framework.caution))
    if framework and framework.note:
        findings.append(Finding(Reason.FRAMEWORK_NOTE, name, framework.note))
    if has_probe_of_process_1(worker.container):
        reason, what = (Reason.FRAMEWORK_CAUTION, _PROBE) if mode is Mode.LOOP else (Reason.PROBE_OF_PROCESS_1, "")
        findings.append(Finding(reason, name, what))
    if worker.runtime:
        findings.append(Finding(Reason.FRAMEWORK_CAUTION, name, worker.runtime.caution))
    if worker.match and (worker.match.framework.conditions or worker.match.framework.limits):
        findings += _conditions_and_limits(worker, worker.match, mode)
    return findings


def _conditions_and_limits(worker: ExaminedWorker, match: Match, mode: Mode) -> list[Finding]:
    name, framework, grace = worker.container.name, match.framework, worker.context.grace
    words = match.program.words[match.end :]
    variables = {variable.name: variable.value or "" for variable in worker.container.env or ()}
    findings = [
        Finding(Reason.FRAMEWORK_CAUTION, name, condition.caution)
        for condition in framework.conditions
        if condition.is_met_by(words, variables)
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
    text = option_value(words, limit.flags)
    text = variables.get(limit.env) if text is None else text
    if text is None:
        return None
    try:
        return float(text) * limit.unit
    except ValueError:
        return 0
