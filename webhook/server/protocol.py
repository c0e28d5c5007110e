"""uvicorn's HTTP protocol, with limits for what comes before a request's body, and with a goodbye in a drain."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from webhook.server.application import Readiness
from webhook.server.errors import JSON, error_content

HEAD_BYTES = 64 * 1024
"""Bytes of header names and values in one request: an API server sends well under one KiB."""
LAST_SECONDS = 1.0
"""How long, when the server ends, a connection has for a request that may be on its way."""
TOO_LARGE = "The head of the request is over the limit."


class LimitedProtocol(HttpToolsProtocol):
    """A connection that drops clients that are slow to send a head that they began, or send one without end."""

    head_seconds: float
    readiness: Readiness
    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _hoarded_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Await the first request, as long as the next one is awaited.

        Go's client opens a connection for a request that another one takes in the end, and keeps the new one for later:
        closed early, it might be with that later request on its way, which the client would report as `EOF`.
        https://github.com/golang/go/blob/master/src/net/http/transport.go (dialConnFor)
        """
        super().connection_made(transport)  # type: ignore[arg-type]
        self._await_head(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless that leads nowhere."""
        self._hoarded_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._hoarded_bytes > HEAD_BYTES:
            # The parser keeps a line until it is complete, and tells of it only then.
            self.logger.warning(TOO_LARGE)
            self.send_400_response(TOO_LARGE)
        elif self._head_timer is None and self.cycle.response_complete:
            # No request: an empty line, or the rest of a body that nobody reads. But uvicorn's own timer for idle
            # connections ends with whatever comes.
            self._await_head(self.head_seconds)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._head_bytes = self._hoarded_bytes = 0
        self._await_head(self.head_seconds)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or the trailer of a chunked body."""
        self._hoarded_bytes = 0
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES:
            raise ValueError(TOO_LARGE)  # the parser turns it into a 400
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Answer the request."""
        self._stop_timer()
        super().on_headers_complete()
        if self.readiness.draining:
            self.close_when_answered()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._hoarded_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, as JSON like all errors."""
        content = error_content("http", msg)
        head = f"content-type: {JSON}\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n"
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head.encode() + content)
        self.transport.close()

    def close_when_answered(self) -> None:
        """Let the answer to the request in flight, if there is one, be the last."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End the connection; where a request is awaited, not at once.

        A client takes it for a failure if a new connection ends without an answer; an idle one it just opens anew.
        """
        if self._head_timer is None:
            super().shutdown()
        else:
            self._await_head(min(LAST_SECONDS, self.head_seconds))

    def _await_head(self, seconds: float) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def protocol_class(seconds: float, state: Readiness) -> type[LimitedProtocol]:
    """Return the protocol with these settings: uvicorn makes each connection's object itself."""

    class Protocol(LimitedProtocol):
        head_seconds = seconds
        readiness = state

    return Protocol
