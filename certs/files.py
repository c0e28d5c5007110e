"""A certificate in files, as cert-manager or a mounted Secret gives it; it is exchanged when the files change."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable
from pathlib import Path

from certs.authority import Leaf, Unusable
from certs.events import Events, wall_clock
from certs.serving import ServedCertificate

LOGGER = "graceful_worker"
LOOK_SECONDS = 5.0
"""How often the files are read. A mounted Secret changes by a link, which not every file system tells watchers of."""


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


class FileCertificate:
    """Serves what stands in two files, always the last pair that fits together."""

    def __init__(
        self,
        served: ServedCertificate,
        certificate: Path,
        key: Path,
        events: Events,
        clock: Callable[[], datetime.datetime] = wall_clock,
    ) -> None:
        self._served = served
        self._certificate = certificate
        self._key = key
        self._events = events
        self._clock = clock
        self._refused: Leaf | None = None
        events.leaf_ends = served.leaf.ends

    @property
    def is_ready(self) -> bool:
        """Whether the certificate has not expired."""
        return self._clock() < self._served.leaf.ends

    async def run(self) -> None:
        """Look at the files until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """Serve what stands in the files, if it is new and usable; a pair that is half written is not, yet."""
        leaf = None
        try:
            leaf = read_leaf(self._certificate, self._key)
            if leaf in (self._served.leaf, self._refused):
                return
            self._served.exchange(leaf)
        except Unusable as unusable:
            self._events.failures += 1
            self._refused = leaf
            logging.getLogger(LOGGER).error("the old certificate is served on: %s", unusable)
            return
        self._events.leaf_ends = leaf.ends
        logging.getLogger(LOGGER).info("a new certificate is served, valid until %s", leaf.ends.isoformat())
