"""The demo shows what it says: a message that is lost, one that is not, and a sidecar that leaves last."""

from __future__ import annotations

import subprocess
import sys

import pytest

from demo.local_pod import isolation_refusal


@pytest.mark.skipif(bool(isolation_refusal()), reason=f"no namespaces: {isolation_refusal()}")
def test_the_demo_loses_a_message_unprotected_and_none_protected() -> None:
    ran = subprocess.run([sys.executable, "-m", "demo"], capture_output=True, text=True, timeout=120, check=False)
    told = ran.stdout
    assert ran.returncode == 0, told + ran.stderr
    unprotected, protected = _under("The unprotected pod", told), _under("The protected pod", told)
    assert "ends" not in unprotected
    assert "container killed, as its grace period is over" in unprotected
    assert protected.count(" begins") == protected.count(" ends") == 2
    assert protected.rindex(" ends") < protected.index("sidecar leaves")
    assert "killed" not in protected


def _under(headline: str, told: str) -> str:
    """Return the lines under a headline."""
    return told.split(f"━━ {headline}")[1].split("\n", 1)[1].split("━━", maxsplit=1)[0]
