"""A certificate in files, from cert-manager or a mounted Secret; it is reloaded when the files change."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable
from pathlib import Path

from certs.certificate import Leaf
from certs.clock import wall_clock
from certs.errors import Unusable
from certs.metrics import CertificateMetrics
from certs.retry import LOGGER, retry_forever
from certs.served_certificate import ServedCertificate

LOOK_SECONDS = 5.0
"""Interval for reading the files. Mounted Secrets change by a symbolic link, which not all file systems report."""


def read_leaf(certificate: Path, key: Path) -> Leaf:
    """Read a certificate chain and its key.

    Raises:
        Unusable: they cannot be read.

    """
    try:
        leaf = Leaf(certificate.read_bytes(), key.read_bytes())
        leaf.ends  # noqa: B018 - parses it
    except (OSError, ValueError) as error:
        raise Unusable(f"the certificate {certificate} and the key {key} cannot be used: {error}") from None
    return leaf


def read_clients(path: Path | None) -> bytes:
    """Read the CAs of client certificates; none without a file.

    Raises:
        Unusable: the file cannot be read.

    """
    try:
        return path.read_bytes() if path else b""
    except OSError as error:
        raise Unusable(f"the client CA {path} cannot be read: {error.strerror}") from None


class FileCertificate:
    """Serves the last valid pair in the files, with the last client CAs."""

    def __init__(
        self,
        served: ServedCertificate,
        certificate: Path,
        key: Path,
        metrics: CertificateMetrics,
        clock: Callable[[], datetime.datetime] = wall_clock,
        *,
        clients: Path | None = None,
    ) -> None:
        self._served = served
        self._certificate = certificate
        self._key = key
        self._clients = clients
        self._metrics = metrics
        self._clock = clock
        self._refused: tuple[Leaf, bytes] | None = None
        metrics.leaf_expiry = served.leaf.ends

    @property
    def is_ready(self) -> bool:
        """Whether the certificate has not expired."""
        return self._clock() < self._served.leaf.ends

    @property
    def paths(self) -> frozenset[str]:
        """None: the author of the configuration chooses the path."""
        return frozenset()

    async def run(self) -> None:
        """Watch the files until cancelled."""
        await retry_forever(self._look_later, "still serving the old certificate", self._metrics)

    async def _look_later(self) -> None:
        await asyncio.sleep(LOOK_SECONDS)
        self.look()

    def look(self) -> None:
        """Serve a new pair from the files if it is valid; a partly written one is not yet valid."""
        found = None
        try:
            leaf, clients = found = read_leaf(self._certificate, self._key), read_clients(self._clients)
            if found in ((self._served.leaf, self._served.clients), self._refused):
                return
            self._served.exchange(leaf, clients=clients)
        except Unusable as unusable:
            self._metrics.failures += 1
            self._refused = found
            logging.getLogger(LOGGER).error("still serving the old certificate: %s", unusable)
            return
        self._metrics.leaf_expiry = leaf.ends
        logging.getLogger(LOGGER).info("serving a new certificate, valid until %s", leaf.ends.isoformat())
