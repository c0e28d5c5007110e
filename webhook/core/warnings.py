"""The text of a warning: the reason's sentence, which is in reasons.py, with its details."""

from __future__ import annotations

from webhook.core.reasons import Finding

WARNING_LENGTH = 120
"""Maximum length of a warning, in characters: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response."""


def format_warning(finding: Finding) -> str:
    """Format a finding as a warning of at most 120 characters; the container's name is shortened first."""
    text = f"{finding.reason.sentence} {finding.detail}".rstrip()
    head = f"{finding.reason.code}: "
    if finding.container:
        room = WARNING_LENGTH - len(head) - len(text) - 2
        name = finding.container if len(finding.container) <= room else finding.container[: max(room - 1, 8)] + "…"
        head += f"{name}: "
    line = head + text
    return line if len(line) <= WARNING_LENGTH else line[: WARNING_LENGTH - 1] + "…"
