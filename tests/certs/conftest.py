"""What tests of the care for a certificate share."""

from __future__ import annotations

import pytest

from certs import controller, repetition
from tests.certs.scene import Scene


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A controller and its API server; failures wait for a moment only."""
    monkeypatch.setattr(repetition, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(repetition, "LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(controller, "BREATH", 0.005)
    monkeypatch.setattr(controller, "WATCH_BREATH", 0.01)
    return Scene()
