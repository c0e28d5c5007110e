"""The addresses of hosts, asked of DNS in threads of their own: one that is not answered holds its thread for long."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar

from webhook.images.shares import Shares

MOST = 32
"""Threads at once. Nobody can end one: with the resolv.conf that pods have, that of a name which DNS does not answer
lasted for 20 s, with each name server more for longer.
"""
SECONDS = 6.0
"""How long a name is waited for: by then a lost packet has been sent once more."""

NAMESPACE: ContextVar[str] = ContextVar("namespace", default="")
"""For whom names are resolved; a pool of connections passes on nothing else."""


class Unanswered(OSError):
    """DNS has not answered in time."""


class Overburdened(OSError):
    """Too many names are not answered."""


class Resolver:
    """Resolves each name once at a time, and waits no longer than it is worth."""

    def __init__(self) -> None:
        self._shares = Shares(MOST)
        self._under_way: dict[str, asyncio.Future[Sequence[str] | OSError]] = {}

    async def addresses(self, host: str) -> Sequence[str]:
        """Return the addresses of a host.

        Raises:
            Unanswered: that takes too long.
            Overburdened: for this namespace, it is not even begun.
            OSError: it has none.

        """
        answer = _written(host) or await self._ask(host)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def _ask(self, host: str) -> Sequence[str] | OSError:
        asking = self._under_way.get(host) or self._start(host)
        # Not cancelled: others may wait for it, and its thread goes on.
        await asyncio.wait([asking], timeout=SECONDS)
        return asking.result() if asking.done() else Unanswered()

    def _start(self, host: str) -> asyncio.Future[Sequence[str] | OSError]:
        namespace = NAMESPACE.get()
        if not self._shares.take(namespace, host):
            raise Overburdened
        loop = asyncio.get_running_loop()
        asking: asyncio.Future[Sequence[str] | OSError] = loop.create_future()

        def ended(answer: Sequence[str] | OSError) -> None:
            self._shares.give_back(namespace, host)
            del self._under_way[host]
            if not asking.done():
                asking.set_result(answer)

        def ask() -> None:
            answer = _answer(host)
            # The loop may have ended before.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(ended, answer)

        self._under_way[host] = asking
        # Not a pool's thread: at its end, the process would wait for these.
        thread = threading.Thread(target=ask, name="resolver", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            ended(Overburdened())
        return asking


def _written(host: str) -> Sequence[str] | None:
    """Return the address that a host's name is already; None where DNS must be asked."""
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
