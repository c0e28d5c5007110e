"""Resolves host names in dedicated threads: an unanswered DNS query blocks its thread for a long time."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar

from webhook.images.errors import DnsTimeout, TooManyDnsQueries
from webhook.images.shares import Shares

MOST = 32
"""Maximum number of threads. They cannot be interrupted: with the resolv.conf of pods, a query without a response
lasted 20 s, and longer with additional name servers.
"""
SECONDS = 6.0
"""How long to wait for a name: by then, a lost packet has been resent."""

NAMESPACE: ContextVar[str] = ContextVar("namespace", default="")
"""The namespace that a name is resolved for; connection pools do not pass on anything else."""


class Resolver:
    """Resolves each name once at a time, with a timeout."""

    def __init__(self) -> None:
        self._shares = Shares(MOST)
        self._under_way: dict[str, asyncio.Future[Sequence[str] | OSError]] = {}

    async def addresses(self, host: str) -> Sequence[str]:
        """Return the addresses of a host.

        Raises:
            DnsTimeout: it takes too long.
            TooManyDnsQueries: the namespace has too many pending queries.
            OSError: the name does not resolve.

        """
        answer = _written(host) or await self._ask(host)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def _ask(self, host: str) -> Sequence[str] | OSError:
        asking = self._under_way.get(host) or self._start(host)
        # Not cancelled: others may wait for it, and its thread continues.
        await asyncio.wait([asking], timeout=SECONDS)
        return asking.result() if asking.done() else DnsTimeout()

    def _start(self, host: str) -> asyncio.Future[Sequence[str] | OSError]:
        namespace = NAMESPACE.get()
        if not self._shares.take(namespace, host):
            raise TooManyDnsQueries
        loop = asyncio.get_running_loop()
        asking: asyncio.Future[Sequence[str] | OSError] = loop.create_future()

        def ended(answer: Sequence[str] | OSError) -> None:
            self._shares.give_back(namespace, host)
            del self._under_way[host]
            if not asking.done():
                asking.set_result(answer)

        def ask() -> None:
            answer = _answer(host)
            # The loop may already be closed.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(ended, answer)

        self._under_way[host] = asking
        # Not a thread pool: on exit, the process would wait for its threads.
        thread = threading.Thread(target=ask, name="resolver", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            ended(TooManyDnsQueries())
        return asking


def _written(host: str) -> Sequence[str] | None:
    """Return the address if the host already is one; None if DNS is needed."""
    answer = _answer(host, socket.AI_NUMERICHOST)
    return None if isinstance(answer, OSError) else answer


def _answer(host: str, flags: int = 0) -> Sequence[str] | OSError:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    except UnicodeError:
        return socket.gaierror(socket.EAI_NONAME, "no name")
    except OSError as error:
        return error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
