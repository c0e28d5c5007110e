"""The switch that writes expectations anew: read what it writes, it is a claim about the contract."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew; read the difference")


@pytest.fixture
def update_golden(pytestconfig: pytest.Config) -> bool:
    # The option is known only where this folder is named on the command line.
    return bool(pytestconfig.getoption("--update-golden", default=False))
