"""uvicorn's HTTP protocol, with limits for requests that do not arrive, and with a goodbye in a drain."""

from __future__ import annotations

import asyncio
from enum import Enum
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from webhook.core.reasons import Reason
from webhook.server.application import Readiness
from webhook.server.callers import CLIENT
from webhook.server.errors import JSON, error_content
from webhook.server.load_shedding import LoadShedding
from webhook.server.memory import Leftovers
from webhook.server.mutation import GIVEN_UP, WHOLE_ANSWER
from webhook.server.options import ServerOptions

HEAD_BYTES = 64 * 1024
"""Bytes of header names and values in one request: an API server sends well under one KiB."""
LAST_SECONDS = 1.0
"""How long, when the server ends, a connection has for a request that may be on its way."""
_ANSWER_HEAD = f"HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: ".encode()
MOST_PIPELINED = 8
"""Requests that may wait behind one that is not answered yet: uvicorn takes any number. Go's client sends none."""
TOO_MANY = "Too many requests were sent ahead."
TOO_LARGE = "The head of the request is over the limit."


class Phase(Enum):
    """What a connection waits for."""

    REQUEST = "the first byte of its first request"
    HEAD = "the rest of a head"
    BODY = "the rest of a body"
    ANSWER = "us"
    NOTHING = "no request has begun, but something came: an empty line, the rest of a body that nobody reads"


class LimitedProtocol(HttpToolsProtocol):
    """A connection that drops clients that are slow with a request that they began, or send a head without end.

    A request that is read in one piece, as most are, costs no timer. Between requests, uvicorn's own timer runs.
    """

    head_seconds: float
    body_seconds: float
    readiness: Readiness
    shedding: LoadShedding
    leftovers: Leftovers
    _extensions: dict[str, Any]
    """Those of the latest request."""
    _handshake: asyncio.Task[None] | None = None
    """What is cancelled to drop the connection before TLS is there."""
    _held = 0
    """Bytes of bodies that came and are not answered."""
    _phase: Phase | None = None
    _timer: asyncio.TimerHandle | None = None
    _client: dict[str, Any] | None = None
    """The certificate that the client has shown."""
    _in_head = False
    _arrived = 0
    """Bytes of the head, or since the last piece of a body."""

    def accepted(self, handshake: asyncio.Task[None]) -> None:
        """Count as a connection from now on."""
        self._handshake = handshake
        self.shedding.opened(self)

    def failed(self) -> None:
        """Count no longer, as nobody there speaks TLS."""
        self.shedding.closed(self)

    @property
    def is_busy(self) -> bool:
        """Whether a whole request is here, and its answer not away."""
        if self.cycle is None:
            return False
        return not self.cycle.response_complete and not self.cycle.more_body

    def shed(self) -> None:
        """Drop the connection: whoever is in the middle of a body is told why, as an API server tries again then."""
        if self._handshake is not None:
            self._handshake.cancel()
        elif self._phase is Phase.BODY and not self.transport.get_write_buffer_size():
            self._give_up(Reason.REVIEW_SHED, HTTPStatus.SERVICE_UNAVAILABLE, "retry-after: 1\r\n")
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        """Count what the client does not read."""
        super().pause_writing()
        self._hold()

    def resume_writing(self) -> None:
        """Count it no longer."""
        super().resume_writing()
        self._hold()

    def _hold(self) -> None:
        unsent = self.transport.get_write_buffer_size() if self.flow.write_paused else 0
        self.shedding.hold(self, self._held + unsent)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Await the first request, as long as the next one is awaited.

        Go's client opens a connection for a request that another one takes in the end, and keeps the new one for later:
        closed early, it might be with that later request on its way, which the client would report as `EOF`.
        https://github.com/golang/go/blob/master/src/net/http/transport.go (dialConnFor)
        """
        self._handshake = None
        super().connection_made(transport)  # type: ignore[arg-type]
        self._client = transport.get_extra_info("peercert")
        self._enter(Phase.REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection.

        uvicorn's timer for idle ones, too: after a reset, it would keep 80 KiB of it for two minutes.
        """
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self.shedding.closed(self)
        self.leftovers.add()

    def data_received(self, data: bytes) -> None:
        """Parse what has come, and limit the time for the rest."""
        self._arrived += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._arrived > HEAD_BYTES:
            # The parser keeps a line until it is complete, and tells of it only then.
            self.logger.warning(TOO_LARGE)
            self.send_400_response(TOO_LARGE)
            return
        phase = self._current_phase()
        if phase is not self._phase:
            self._enter(phase)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = True
        self._phase = None

    def on_headers_complete(self) -> None:
        """Answer the request.

        Raises:
            ValueError: the head is too large, or it is one of too many; the parser turns it into a 400.

        """
        self._in_head = False
        if len(self.pipeline) >= MOST_PIPELINED:
            raise ValueError(TOO_MANY)
        if self._arrived > HEAD_BYTES and sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            raise ValueError(TOO_LARGE)
        self._arrived = 0
        super().on_headers_complete()
        self._extensions = {WHOLE_ANSWER: partial(_answer, self.cycle), CLIENT: self._client}
        self.scope["extensions"] = self._extensions
        if self.readiness.draining:
            self.close_when_answered()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._arrived = 0
        super().on_body(body)
        if not self.cycle.response_complete:
            self._held += len(body)
            self._hold()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, as JSON like all errors."""
        self._send_error(HTTPStatus.BAD_REQUEST, error_content("http", msg))

    def close_when_answered(self) -> None:
        """Let the answer to the request in flight, if there is one, be the last."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End the connection; where a request is awaited, not at once.

        A client takes it for a failure if a new connection ends without an answer; an idle one it just opens anew.
        """
        if self._timer is None or self._phase is Phase.BODY:
            super().shutdown()
        else:
            self._close_after(min(LAST_SECONDS, self.head_seconds))

    def _current_phase(self) -> Phase:
        if self._in_head:
            return Phase.HEAD
        if self.cycle is None:
            return Phase.REQUEST
        if self.cycle.response_complete:
            # uvicorn's timer has ended with whatever came.
            return Phase.NOTHING
        return Phase.BODY if self.cycle.more_body else Phase.ANSWER

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        if phase is Phase.ANSWER:
            self._stop_timer()
        elif phase is Phase.BODY:
            self._stop_timer()
            self._timer = self.loop.call_later(self.body_seconds, self._give_up)
        else:
            self._close_after(self.timeout_keep_alive if phase is Phase.REQUEST else self.head_seconds)

    def on_response_complete(self) -> None:
        """Forget the body that is answered."""
        self._held = sum(len(cycle.body) for cycle, _ in self.pipeline)
        self.shedding.proved(self)
        self._hold()
        super().on_response_complete()

    def _give_up(
        self,
        reason: Reason = Reason.REVIEW_TOO_SLOW,
        status: HTTPStatus = HTTPStatus.REQUEST_TIMEOUT,
        headers: str = "",
    ) -> None:
        """Answer a request whose body does not arrive; the application learns of it as of a client that has gone."""
        if self.cycle.response_complete:
            self.transport.close()
            return
        self._send_error(status, error_content(reason.value, reason.sentence), headers)
        self._extensions[GIVEN_UP] = reason
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def _send_error(self, status: HTTPStatus, content: bytes, headers: str = "") -> None:
        head = f"content-type: {JSON}\r\ncontent-length: {len(content)}\r\n{headers}connection: close\r\n\r\n"
        self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{head}".encode() + content)
        self.transport.close()

    def _close_after(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


async def _answer(cycle: RequestResponseCycle, content: bytes) -> None:
    """Answer a request in one piece; in two, as ASGI has it, it is encrypted and sent in two: 12 µs more."""
    if cycle.flow.write_paused:
        # A client that sends on and reads nothing would have all answers kept for it.
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    close = b"" if cycle.keep_alive else b"connection: close\r\n"
    cycle.transport.write(b"".join((_ANSWER_HEAD, b"%d\r\n%b\r\n" % (len(content), close), content)))
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def protocol_class(options: ServerOptions, state: Readiness, load: LoadShedding) -> type[LimitedProtocol]:
    """Return the protocol with these settings: uvicorn makes each connection's object itself."""

    class Protocol(LimitedProtocol):
        shedding = load
        leftovers = Leftovers()
        head_seconds = options.head_seconds
        body_seconds = options.limits.body_seconds
        readiness = state

    return Protocol
