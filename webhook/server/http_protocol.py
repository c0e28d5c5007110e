"""uvicorn's HTTP protocol, with timeouts for incomplete requests, and `Connection: close` while draining.

uvicorn documents none of what this overrides and uses: comments that begin with `uvicorn` or `httptools` name each such
part where it is used, and tests/server/test_uvicorn.py fails when an upgrade changes one.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from functools import partial
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from webhook.core.reasons import Reason
from webhook.server.application import Readiness
from webhook.server.authentication import CLIENT_CERTIFICATE
from webhook.server.errors import JSON, error_body
from webhook.server.load_shedding import LoadShedder
from webhook.server.memory import ClosedConnections
from webhook.server.options import ServerOptions
from webhook.server.review_handler import ABORT_REASON, RELEASE_BODY, SEND_RESPONSE

MAX_HEADER_BYTES = 64 * 1024
"""Maximum size of the headers of a request, in bytes: an API server sends well under 1 KiB."""
SHUTDOWN_SECONDS = 1.0
"""How long a connection may take, on shutdown, for a request that may be on its way."""
_RESPONSE_HEAD = f"HTTP/1.1 200 OK\r\ncontent-type: {JSON}\r\ncontent-length: ".encode()
MAX_PIPELINED = 8
"""Maximum number of pipelined requests: uvicorn has no limit, and Go's client sends none."""
TOO_MANY = "Too many pipelined requests."
TOO_LARGE = "The request's headers exceed the limit."


class Phase(Enum):
    """What a connection is waiting for."""

    FIRST_REQUEST = "the first byte of its first request"
    HEADERS = "the rest of the headers"
    BODY = "the rest of a body"
    RESPONSE = "the response to a complete request"
    IDLE = "no request has begun, but data has arrived: an empty line, or the rest of an unread body"


class HttpProtocol(HttpToolsProtocol):
    """A connection that drops clients that send a request too slowly, or headers without end.

    A request that arrives in one piece, as most do, needs no timer. Between requests, uvicorn's own timer runs.
    """

    head_seconds: float
    body_seconds: float
    readiness: Readiness
    shedder: LoadShedder
    closed_connections: ClosedConnections
    _extensions: dict[str, Any]
    """The state of the latest request."""
    _handshake: asyncio.Task[None] | None = None
    """Cancelled to drop the connection before the TLS handshake is complete."""
    _held_bytes = 0
    """Bytes of the bodies of pending requests."""
    _phase: Phase | None = None
    _timer: asyncio.TimerHandle | None = None
    _client: dict[str, Any] | None = None
    """The client certificate."""
    _in_headers = False
    _received_bytes = 0
    """Bytes of the headers, or since the last part of a body."""

    def handshake_started(self, handshake: asyncio.Task[None]) -> None:
        """Count as an open connection."""
        self._handshake = handshake
        self.shedder.opened(self)

    def handshake_failed(self) -> None:
        """Stop counting: the client does not speak TLS."""
        self.shedder.closed(self)

    @property
    def is_processing(self) -> bool:
        """Whether a complete request awaits its response."""
        # uvicorn: `cycle` is the latest request, None before the first; its flags tell what has arrived and been sent.
        if self.cycle is None:
            return False
        return not self.cycle.response_complete and not self.cycle.more_body

    def shed(self) -> None:
        """Drop the connection; a client in the middle of a body gets a reason, so that an API server retries."""
        if self._handshake is not None:
            self._handshake.cancel()
        elif self._current_phase() is Phase.BODY and not self.transport.get_write_buffer_size():
            self._abort_request(Reason.REVIEW_SHED, HTTPStatus.SERVICE_UNAVAILABLE, "retry-after: 1\r\n")
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        """Count bytes that the client does not read."""
        super().pause_writing()
        self._update_held_bytes()

    def resume_writing(self) -> None:
        """Stop counting them."""
        super().resume_writing()
        self._update_held_bytes()

    def _update_held_bytes(self) -> None:
        # uvicorn: `flow` has the state that pause_writing and resume_writing set.
        unsent = self.transport.get_write_buffer_size() if self.flow.write_paused else 0
        self.shedder.hold(self, self._held_bytes + unsent)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request as long as for later ones.

        Go's client may open a connection for a request that another connection then takes, and keep it for later. If it
        were closed early, a later request might be on its way, which the client would report as `EOF`.
        https://github.com/golang/go/blob/master/src/net/http/transport.go (dialConnFor)
        """
        self._handshake = None
        # uvicorn: sets `transport` and `flow`, and adds the connection to `server_state.connections`.
        super().connection_made(transport)  # type: ignore[arg-type]
        self._client = transport.get_extra_info("peercert")
        self._enter_phase(Phase.FIRST_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection.

        Also stop uvicorn's idle timer: after a reset, it would keep 80 KiB for two minutes.
        """
        self._stop_timer()
        # uvicorn: stops the timer that its on_response_complete starts.
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        self.shedder.closed(self)
        self.closed_connections.add()

    def data_received(self, data: bytes) -> None:
        """Parse received data, and set the timeout for the rest."""
        self._received_bytes += len(data)
        # uvicorn: stops its idle timer, and calls the parser, which calls the on_… methods of this object.
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._received_bytes > MAX_HEADER_BYTES:
            # The parser reports a line only once it is complete.
            self.logger.warning(TOO_LARGE)  # uvicorn: the logger "uvicorn.error"
            self.send_400_response(TOO_LARGE)
            return
        phase = self._current_phase()
        if phase is not self._phase:
            self._enter_phase(phase)

    def on_message_begin(self) -> None:
        """Begin a request."""
        # uvicorn: sets `scope` and `headers`.
        super().on_message_begin()
        self._in_headers = True
        self._phase = None

    def on_headers_complete(self) -> None:
        """Start the request's task.

        Raises:
            ValueError: the headers are too large, or there are too many pipelined requests.

        """
        self._in_headers = False
        # httptools: an exception here becomes HttpParserError, for which uvicorn calls send_400_response.
        # uvicorn: `pipeline` holds (cycle, application) of the requests that wait for their turn.
        if len(self.pipeline) >= MAX_PIPELINED:
            raise ValueError(TOO_MANY)
        if (
            self._received_bytes > MAX_HEADER_BYTES
            and sum(len(name) + len(value) for name, value in self.headers) > MAX_HEADER_BYTES
        ):
            raise ValueError(TOO_LARGE)
        self._received_bytes = 0
        # uvicorn: creates the cycle, with on_response_complete of this object, and a task, which has not started yet.
        super().on_headers_complete()
        self._extensions = {
            SEND_RESPONSE: partial(_send_response, self.cycle),
            CLIENT_CERTIFICATE: self._client,
            RELEASE_BODY: self._release_body,
        }
        self.scope["extensions"] = self._extensions
        if self.readiness.draining:
            self.disable_keep_alive()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._received_bytes = 0
        # uvicorn: adds the part to `cycle.body`, unless the request has been answered.
        super().on_body(body)
        if not self.cycle.response_complete:
            self._held_bytes += len(body)
            self._update_held_bytes()

    def send_400_response(self, msg: str) -> None:
        """Answer data that is not HTTP, with JSON like all errors."""
        self._send_error(HTTPStatus.BAD_REQUEST, error_body("http", msg))

    def disable_keep_alive(self) -> None:
        """Make the response to the current request, if any, the last one."""
        if self.cycle is not None:
            # uvicorn: the response then says `connection: close`, and the connection is closed after it.
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Close the connection; if a request is expected, wait briefly.

        A client treats a new connection that closes without a response as a failure. An idle one is reopened.
        """
        # uvicorn: calls this for each connection, once it no longer accepts new ones.
        if self._timer is None or self._phase is Phase.BODY:
            super().shutdown()
        else:
            self._close_after(min(SHUTDOWN_SECONDS, self.head_seconds))

    def _current_phase(self) -> Phase:
        if self._in_headers:
            return Phase.HEADERS
        if self.cycle is None:
            return Phase.FIRST_REQUEST
        if self.cycle.response_complete:
            # uvicorn: its idle timer is stopped by received data.
            return Phase.IDLE
        return Phase.BODY if self.cycle.more_body else Phase.RESPONSE

    def _enter_phase(self, phase: Phase) -> None:
        self._phase = phase
        self._stop_timer()
        if phase is Phase.BODY:
            self._timer = self.loop.call_later(self.body_seconds, self._abort_request)
        elif phase is not Phase.RESPONSE:
            # uvicorn: `timeout_keep_alive` is the option of that name.
            self._close_after(self.timeout_keep_alive if phase is Phase.FIRST_REQUEST else self.head_seconds)

    def on_response_complete(self) -> None:
        """Release the body of an answered request."""
        self.shedder.response_sent(self)
        self._release_body()
        # uvicorn: starts the next request of the pipeline, or else the idle timer.
        super().on_response_complete()

    def _release_body(self) -> None:
        """Count only the bodies of the requests that wait for their turn."""
        self._held_bytes = sum(len(cycle.body) for cycle, _ in self.pipeline)
        self._update_held_bytes()

    def _abort_request(
        self,
        reason: Reason = Reason.REVIEW_TOO_SLOW,
        status: HTTPStatus = HTTPStatus.REQUEST_TIMEOUT,
        headers: str = "",
    ) -> None:
        """Answer a request whose body does not arrive; the application sees a disconnected client."""
        if self.cycle.response_complete:
            self.transport.close()
            return
        self._send_error(status, error_body(reason.value, reason.sentence), headers)
        self._extensions[ABORT_REASON] = reason
        # uvicorn: ends the `receive` of the application, with "http.disconnect".
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


async def _send_response(cycle: RequestResponseCycle, content: bytes) -> None:
    """Send a response in one piece. As two ASGI messages, it would be encrypted and sent twice: 12 µs more."""
    # uvicorn: this does what RequestResponseCycle.send does for the last message of a response.
    if cycle.flow.write_paused:
        # Otherwise, responses pile up for a client that sends without reading.
        await cycle.flow.drain()
    if cycle.disconnected:
        return
    close = b"" if cycle.keep_alive else b"connection: close\r\n"
    cycle.transport.write(b"".join((_RESPONSE_HEAD, b"%d\r\n%b\r\n" % (len(content), close), content)))
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


def make_protocol_class(options: ServerOptions, state: Readiness, load: LoadShedder) -> type[HttpProtocol]:
    """Return the protocol with these settings: uvicorn creates the object of each connection."""

    class Protocol(HttpProtocol):
        shedder = load
        closed_connections = ClosedConnections()
        head_seconds = options.head_seconds
        body_seconds = options.limits.body_seconds
        readiness = state

    return Protocol
