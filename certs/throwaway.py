"""A short-lived CA and server certificate for local use and tests."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from certs.authority import Authority

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
CLOCK_SKEW = datetime.timedelta(minutes=5)
"""Allows for clients whose clock is slightly slow."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, its key, and the CA to trust (PEM)."""

    ca: bytes
    certificate: bytes
    key: bytes

    def write(self, folder: Path) -> None:
        """Write ca.crt, tls.crt and tls.key; only the owner can read the key."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_bytes(self.ca)
        (folder / "tls.crt").write_bytes(self.certificate)
        key = folder / "tls.key"
        key.unlink(missing_ok=True)
        key.touch(mode=0o600)
        key.write_bytes(self.key)


def issue(
    hosts: Sequence[str], *, now: datetime.datetime | None = None, validity: datetime.timedelta | None = None
) -> Pair:
    """Issue a certificate for DNS names and IP addresses; the CA's key is discarded.

    Valid for a week unless `validity` is given.

    Raises:
        ValueError: there is no host, or one is neither a DNS name nor an IP address.

    """
    begin = (now or datetime.datetime.now(datetime.UTC)) - CLOCK_SKEW
    end = begin + CLOCK_SKEW + (validity or datetime.timedelta(days=7))
    authority = Authority.create(begin, end, "graceful-worker throw-away CA")
    leaf = authority.issue(hosts, begin, end)
    return Pair(authority.certificate, leaf.certificate, leaf.key)
