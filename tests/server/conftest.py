"""Servers for the tests, and a report of what the tests measure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from certs.authority import LOCAL_HOSTS, issue_certificate

from .process import Server, Servers
from .samples import Review, read_review

MEASURED = "server-measured"


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate for this machine."""
    folder = tmp_path_factory.mktemp("certificate")
    issue_certificate(LOCAL_HOSTS).write(folder)
    return folder


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("servers"), certificate)
    yield servers
    servers.stop()


@pytest.fixture(scope="session")
def server(shared_servers: Servers) -> Server:
    """A server with the default options."""
    return shared_servers.start()


@pytest.fixture(scope="session")
def impatient_server(shared_servers: Servers) -> Server:
    """A server whose limits for slow clients are so short that tests can wait for them."""
    return shared_servers.start(head_seconds=0.5, limits={"body_seconds": 0.5})


@pytest.fixture(scope="session")
def patient_server(shared_servers: Servers) -> Server:
    """A server that drops no slow client within a test's time limit: a request that waits for one fails the test."""
    return shared_servers.start(head_seconds=300, limits={"body_seconds": 300})


@pytest.fixture(scope="session")
def defective_server(shared_servers: Servers) -> Server:
    """A server whose core fails on every pod, with an exception that quotes it."""
    return shared_servers.start(defect=True, log_level="debug")


@pytest.fixture
def servers(tmp_path: Path, certificate: Path) -> Iterator[Servers]:
    """Starts servers for a single test, and stops them after it."""
    servers = Servers(tmp_path, certificate)
    yield servers
    servers.stop()


@pytest.fixture
def messenger() -> Review:
    """A labelled Symfony Messenger pod with an nginx sidecar, created by its ReplicaSet."""
    return read_review("symfony-messenger")


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Reports a measurement at the end of the test run; the test's assertion on it has much room to spare."""

    def record(number: str) -> None:
        record_property(MEASURED, number)

    return record


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.getreports("passed")
    numbers = [text for report in passed for name, text in report.user_properties if name == MEASURED]
    if numbers:
        terminalreporter.section("measured at the server")
        terminalreporter.write_line("\n".join(map(str, numbers)))
