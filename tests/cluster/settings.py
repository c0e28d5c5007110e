"""Reads the settings of these tests from environment variables: see the package's description."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tests.proof.scenarios import SCENARIOS

ON_THE_NODE = ("out-of-memory", "hook-not-run", "second-term")
"""Scenarios that disrupt the container runtime or the kubelet, which needs access to the node."""


@dataclass(frozen=True)
class Settings:
    """The images and scenarios to run; empty if the environment does not set them."""

    broker: str
    workers: dict[str, str]
    scenarios: list[str]
    webhook_is_installed: bool

    @property
    def refusal(self) -> str:
        """Return which settings are missing; empty if none is."""
        if not os.environ.get("KUBECONFIG"):
            return "no cluster: KUBECONFIG is not set"
        if not self.broker or not self.workers:
            return "no images: set E2E_BROKER and E2E_WORKERS"
        return ""


def read_settings() -> Settings:
    """Read the environment."""
    pairs = (word.partition("=") for word in os.environ.get("E2E_WORKERS", "").split())
    wanted = os.environ.get("E2E_SCENARIOS", "").split()
    known = [scenario.name for scenario in SCENARIOS if scenario.name not in ON_THE_NODE]
    return Settings(
        broker=os.environ.get("E2E_BROKER", ""),
        workers={name: image for name, _, image in pairs},
        scenarios=[name for name in known if name in wanted or not wanted],
        webhook_is_installed=os.environ.get("E2E_WEBHOOK") == "installed",
    )


def read_install_refusal() -> str:
    """Return why the installation is not tested; empty if it is."""
    if not os.environ.get("KUBECONFIG"):
        return "no cluster: KUBECONFIG is not set"
    if os.environ.get("E2E_INSTALL") != "yes":
        return "the installation in the cluster is left as it is: E2E_INSTALL is not yes"
    return ""


def read_start_refusal() -> str:
    """Return why the page for new users is not followed; empty if it is."""
    if not os.environ.get("KUBECONFIG"):
        return "no cluster: KUBECONFIG is not set"
    if os.environ.get("E2E_START") != "yes":
        return "the installation in the cluster is left as it is: E2E_START is not yes"
    return ""


def read_harm_images() -> tuple[str, str]:
    """Return the images of Python and of busybox; empty if the environment does not set them."""
    return os.environ.get("E2E_PYTHON", ""), os.environ.get("E2E_BUSYBOX", "")


def read_harm_refusal() -> str:
    """Return why patched pods are not compared with unpatched ones; empty if they are."""
    if not os.environ.get("KUBECONFIG"):
        return "no cluster: KUBECONFIG is not set"
    return "" if os.environ.get("E2E_PYTHON") else "no image: set E2E_PYTHON"


def read_kubelet() -> tuple[int, str]:
    """Return the process id of the node's kubelet, and why the tests may not pause it; empty if they may."""
    given = os.environ.get("E2E_KUBELET_PID", "")
    return (int(given), "") if given else (0, "the kubelet is left alone: E2E_KUBELET_PID is not set")
