"""Run every test of the protocol under every installed shell, as PID 1 and not as PID 1."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from . import measurements
from .measurements import MEASURED, Measure
from .pods import SHELLS, STOP_SIGNALS, USUAL_SHELLS, Pod, Setting, find_program, why_unavailable


def find_shell(name: str, links: Path) -> str | None:
    """Return the path by which a shell is called; None if it is not installed."""
    program, called = SHELLS[name]
    path = find_program(name)
    if path is None or program == called:
        return path
    link = links / name / called
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(os.path.realpath(path))
    return str(link)


@pytest.fixture(scope="session", autouse=True)
def default_stop_signals() -> Iterator[None]:
    """Reset ignored stop signals to the default, as in a container.

    A test run in the background ignores some of them, and the pods would inherit that.
    """
    ignored = [signal.Signals[f"SIG{name}"] for name in STOP_SIGNALS]
    ignored = [number for number in ignored if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture(scope="session")
def links() -> Iterator[Path]:
    """A folder, readable by every user, for links to shells under other names."""
    with tempfile.TemporaryDirectory(prefix="shells-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if find_program(name) is None:
        pytest.skip(f"{SHELLS[name][0]} is not installed")
    return name


@pytest.fixture(params=Setting, ids=lambda setting: setting.value)
def setting(request: pytest.FixtureRequest) -> Setting:
    reason = why_unavailable(request.param)
    if reason:
        pytest.skip(reason)
    setting: Setting = request.param
    return setting


@pytest.fixture
def pod(shell: str, setting: Setting, links: Path) -> Iterator[Pod]:
    """One pod per test, for every shell and setting."""
    pod = make_pod(shell, setting, links)
    yield pod
    pod.remove()


@pytest.fixture
def plain_pod(shell: str, links: Path) -> Iterator[Pod]:
    """One pod per test, for every shell, for behaviour that does not depend on PID namespaces."""
    pod = make_pod(shell, Setting.CHILD, links)
    yield pod
    pod.remove()


@pytest.fixture
def pods(links: Path) -> Iterator[list[Pod]]:
    """All pods at once, for tests that take long: one for every installed shell.

    The shells of most images run in both settings, the others in one.
    """
    shells = [shell for shell in SHELLS if find_program(shell)]
    settings = [setting for setting in Setting if not why_unavailable(setting)]
    both = {shell: settings if shell in USUAL_SHELLS else settings[-1:] for shell in shells}
    pods = [make_pod(shell, setting, links) for shell in shells for setting in both[shell]]
    yield pods
    for pod in pods:
        pod.remove()


def make_pod(shell: str, setting: Setting, links: Path) -> Pod:
    path = find_shell(shell, links)
    assert path
    directory = Path(tempfile.mkdtemp(prefix="pod-"))
    directory.chmod(0o755)
    return Pod(shell, path, setting, directory)


@pytest.fixture
def measure(record_property: Callable[[str, object], None]) -> Measure:
    """Report a duration in milliseconds at the end of the test run; the assertions on the same value are loose."""

    def record(what: str, seconds: float, pod: Pod) -> None:
        record_property(MEASURED, [f"{what}, {pod.setting.value}", pod.name, seconds * 1000])

    return record


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.is_registered(measurements):
        config.pluginmanager.register(measurements)
