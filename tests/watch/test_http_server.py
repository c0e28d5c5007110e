"""The port for probes and Prometheus has limits for every kind of client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest

from webhook.watch import http_server
from webhook.watch.http_server import HttpServer, Response, status_response

LARGE = b"x" * 2_000_000
ROUTES = {
    "/healthz": lambda: status_response("ok"),
    "/readyz": lambda: status_response("pods are not listed yet", is_ok=False),
    "/metrics": lambda: Response(HTTPStatus.OK, LARGE, "text/plain"),
}
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"


@contextlib.asynccontextmanager
async def served(host: str = "127.0.0.1") -> AsyncIterator[int]:
    server = HttpServer(ROUTES)
    server.listen(host, 0)
    task = asyncio.create_task(server.run())
    try:
        yield server.port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def send(port: int, request: bytes, host: str = "127.0.0.1") -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


async def response_to(request: bytes) -> bytes:
    async with served() as port:
        return await send(port, request)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /healthz HTTP/1.1", 200),
        ("GET /healthz?verbose HTTP/1.1", 200),
        ("HEAD /healthz HTTP/1.1", 200),
        ("GET /readyz HTTP/1.1", 503),
        ("GET /metrics HTTP/1.0", 200),
        ("GET / HTTP/1.1", 404),
        ("POST /healthz HTTP/1.1", 405),
        ("", 405),
    ],
)
def test_a_request_gets_the_expected_status(request_line: str, status: int) -> None:
    response = asyncio.run(response_to(f"{request_line}\r\nhost: a\r\n\r\n".encode()))
    assert response.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"connection: close" in response
    assert (response.partition(b"\r\n\r\n")[2] == b"") is request_line.startswith("HEAD")


def test_a_large_response_arrives_completely() -> None:
    assert asyncio.run(response_to(b"GET /metrics HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")[2] == LARGE


def test_an_endless_request_header_is_refused() -> None:
    assert asyncio.run(response_to(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 3000)).startswith(b"HTTP/1.1 431 ")


def test_clients_that_send_or_read_nothing_do_not_block_others() -> None:
    async def crowded() -> bytes:
        async with served() as port:
            silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3 * http_server.MAX_CONNECTIONS)]
            for _, writer in silent[::2]:
                writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
            try:
                return await send(port, HEALTH)
            finally:
                for _, writer in silent:
                    writer.close()

    assert asyncio.run(crowded()).startswith(b"HTTP/1.1 200 ")


def test_a_slow_client_is_disconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "REQUEST_SECONDS", 0.1)
    assert asyncio.run(response_to(b"GET /heal")) == b""


def test_ipv6_is_served_if_it_is_available() -> None:
    async def over_ipv6() -> bytes:
        async with served("::") as port:
            assert await send(port, HEALTH)
            return await send(port, HEALTH, "::1")

    try:
        assert asyncio.run(over_ipv6()).startswith(b"HTTP/1.1 200 ")
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
