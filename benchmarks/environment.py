"""Shared by all parts of a run: paths, the certificate, and the two cores."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from certs.authority import LOCAL_HOSTS, issue_certificate

ROOT = Path(__file__).parent.parent
SERVERS = Path(__file__).with_name("servers")
BENCH = ROOT / ".local" / "bench"
PYTHON = Path(sys.executable).parent
"""The programs of the product's virtual environment, in which this runs."""
BENCH_PYTHON = BENCH / "venv" / "bin"
"""Those of the other servers' environment."""

_CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = _CORES[0], _CORES[-1]


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of a certificate for this machine."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The CA for clients."""
        return self.folder / "ca.crt"

    @property
    def chain(self) -> Path:
        """The server's certificate."""
        return self.folder / "tls.crt"

    @property
    def key(self) -> Path:
        """Its key."""
        return self.folder / "tls.key"


def make_certificate() -> Certificate:
    """Issue a certificate that is valid for a week; all servers of a run have the same."""
    folder = BENCH / "certificate"
    issue_certificate(LOCAL_HOSTS).write(folder)
    return Certificate(folder)
