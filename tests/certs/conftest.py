"""Fixtures of the certificate tests."""

from __future__ import annotations

import pytest

from certs import renewal, retry
from tests.certs.scene import Scene


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A controller and its API server, with short waits before retries."""
    monkeypatch.setattr(retry, "INITIAL_BACKOFF", 0.01)
    monkeypatch.setattr(retry, "MAX_BACKOFF", 0.05)
    monkeypatch.setattr(renewal, "MIN_INTERVAL", 0.005)
    monkeypatch.setattr(renewal, "WATCH_INTERVAL", 0.01)
    return Scene()
