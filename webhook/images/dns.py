"""Resolves host names in dedicated threads: an unanswered DNS query blocks its thread for a long time."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar

from webhook.images.concurrency import FairLimit
from webhook.images.errors import DnsTimeout, TooManyDnsQueries

MAX_THREADS = 32
"""They cannot be interrupted: with the resolv.conf of pods, a query without a response lasted 20 s, and longer with
additional name servers.
"""
TIMEOUT_SECONDS = 6.0
"""How long to wait for a name: by then, a lost packet has been resent."""

NAMESPACE: ContextVar[str] = ContextVar("namespace", default="")
"""The namespace that a name is resolved for; connection pools do not pass on anything else."""


class DnsResolver:
    """Resolves each name once at a time, with a timeout."""

    def __init__(self) -> None:
        self._limit = FairLimit(MAX_THREADS)
        self._pending: dict[str, asyncio.Future[Sequence[str] | OSError]] = {}

    async def resolve(self, host: str) -> Sequence[str]:
        """Return the addresses of a host.

        Raises:
            DnsTimeout: it takes too long.
            TooManyDnsQueries: the namespace has too many pending queries.
            OSError: the name does not resolve.

        """
        result = _getaddrinfo(host, socket.AI_NUMERICHOST)
        if isinstance(result, OSError):
            # It is not an address.
            query = self._pending.get(host) or self._start(host)
            # Not cancelled: others may wait for it, and its thread continues.
            await asyncio.wait([query], timeout=TIMEOUT_SECONDS)
            result = query.result() if query.done() else DnsTimeout()
        if isinstance(result, OSError):
            raise result
        return result

    def _start(self, host: str) -> asyncio.Future[Sequence[str] | OSError]:
        namespace = NAMESPACE.get()
        if not self._limit.try_acquire(namespace, host):
            raise TooManyDnsQueries
        loop = asyncio.get_running_loop()
        query: asyncio.Future[Sequence[str] | OSError] = loop.create_future()

        def finish(result: Sequence[str] | OSError) -> None:
            self._limit.release(namespace, host)
            del self._pending[host]
            if not query.done():
                query.set_result(result)

        def run() -> None:
            result = _getaddrinfo(host)
            # The loop may already be closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, result)

        self._pending[host] = query
        # Not a thread pool: on exit, the process would wait for its threads.
        thread = threading.Thread(target=run, name="resolver", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            finish(TooManyDnsQueries())
        return query


def _getaddrinfo(host: str, flags: int = 0) -> Sequence[str] | OSError:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError:
        return socket.gaierror(socket.EAI_NONAME, "no name")
    except OSError as error:
        return error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
