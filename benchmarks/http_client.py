"""A minimal HTTP/1.1 client: encodes a review as a request, sends it, and reads the response."""

from __future__ import annotations

import json
import ssl
from typing import Any


class RequestFailed(Exception):
    """The response to a request does not have status 200; the message contains it."""


def encode_request(body: bytes, path: str = "/mutate") -> bytes:
    """Encode a request, with the headers that the API server's client sends."""
    head = (
        f"POST {path}?timeout=5s HTTP/1.1\r\nhost: graceful-worker.graceful-worker.svc:443\r\n"
        f"user-agent: kube-apiserver-admission\r\ncontent-length: {len(body)}\r\naccept: application/json, */*\r\n"
        "content-type: application/json\r\naccept-encoding: gzip\r\n\r\n"
    )
    return head.encode() + body


def send(connection: ssl.SSLSocket, data: bytes) -> bytes:
    """Send a request and return the body of its response.

    Raises:
        RequestFailed: The response's status is not 200, or there is no response.

    """
    connection.sendall(data)
    received = bytearray()
    while (end := received.find(b"\r\n\r\n")) < 0:
        chunk = connection.recv(65536)
        if not chunk:
            raise RequestFailed(f"the connection ended after {bytes(received)!r}")
        received += chunk
    head = received[:end].decode("latin-1").lower().split("\r\n")
    if head[0].split()[1] != "200":
        raise RequestFailed(head[0])
    del received[: end + 4]
    if "transfer-encoding: chunked" in head:
        return _chunks(connection, received)
    (length,) = (int(line.split(":")[1]) for line in head if line.startswith("content-length:"))
    while len(received) < length:
        received += connection.recv(65536)
    return bytes(received)


def _chunks(connection: ssl.SSLSocket, received: bytearray) -> bytes:
    """Return a body in chunks, as Go sends one of more than 2 KB: https://www.rfc-editor.org/rfc/rfc9112#section-7.1."""
    body = bytearray()
    while True:
        while (end := received.find(b"\r\n")) < 0:
            received += connection.recv(65536)
        size = int(received[:end], 16)
        while len(received) < end + 2 + size + 2:
            received += connection.recv(65536)
        if size == 0:
            return bytes(body)
        body += received[end + 2 : end + 2 + size]
        del received[: end + 2 + size + 2]


def admission_response(body: bytes) -> dict[str, Any]:
    """Return the response in an AdmissionReview."""
    response: dict[str, Any] = json.loads(body)["response"]
    return response
