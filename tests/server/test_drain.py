"""The server's drain: after SIGTERM it serves until endpoints are updated, and every request gets a response."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from .process import Server, Servers, wait_for
from .samples import read_review
from .wire import JSON, Connection, Ended, HttpResponse, get, head, post

BODY = json.dumps(read_review("symfony-messenger")).encode()
SOON = 15.0
"""Seconds within which a process with nothing to wait for must exit, even on a busy machine."""
HALF = len(BODY) // 2


def is_listening(server: Server) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=5).close()
    except ConnectionError:
        return False
    return True


def begin_drain(server: Server) -> None:
    server.signal(signal.SIGTERM)
    wait_for(lambda: server.get("/readyz").status == 503)


def send_half(connection: Connection) -> None:
    """Send the head and the first half of the body of a review, and wait until they have arrived."""
    connection.send(head("POST", "/mutate", {**JSON, "content-length": str(len(BODY))}) + BODY[:HALF])
    time.sleep(0.2)


@dataclass
class Client:
    """Sends reviews until the server has stopped, and records the result of each."""

    server: Server
    reuses: bool
    """Whether it reuses a connection for as long as the server allows that."""
    responses: list[tuple[float, HttpResponse]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    connections: list[float] = field(default_factory=list)

    def run(self) -> None:
        while True:
            try:
                connection = self.server.connect()
            except (ConnectionError, ssl.SSLError):
                return  # Nothing was sent.
            self.connections.append(time.monotonic())
            with connection:
                while self._review(connection) and self.reuses:
                    pass

    def _review(self, connection: Connection) -> bool:
        try:
            connection.send(post(BODY))
            response = connection.read_response()
        except (Ended, OSError) as error:
            self.failures.append(error)
            return False
        self.responses.append((time.monotonic(), response))
        return not response.closes


def test_under_load_every_request_gets_a_response(servers: Servers, measure: Callable[[str], None]) -> None:
    server = servers.start(drain_seconds=1.5, log_level="warning")
    clients = [Client(server, reuses=number % 2 == 0) for number in range(16)]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    time.sleep(1)
    server.signal(signal.SIGTERM)
    signalled = time.monotonic()
    for thread in threads:
        thread.join()
    assert server.exit_code(SOON) == 0
    responses = [response for client in clients for response in client.responses]
    late = [response for at, response in responses if at > signalled + 0.5]
    measure(f"SIGTERM under load: {len(responses)} reviews answered, {len(late)} of them in the drain, none lost")
    assert [client.failures for client in clients] == [[]] * len(clients)
    assert {response.status for _, response in responses} == {200}
    assert late
    assert all(response.closes for response in late)
    assert any(at > signalled + 0.5 for client in clients for at in client.connections)
    assert not is_listening(server)


def test_during_the_drain_the_server_is_not_ready_but_healthy(servers: Servers) -> None:
    server = servers.start(drain_seconds=20)
    begin_drain(server)
    response = server.get("/readyz")
    assert (response.status, response.json) == (503, {"status": "draining"})
    assert server.get("/healthz").status == 200


def test_during_the_drain_new_connections_are_served_and_closed(servers: Servers) -> None:
    server = servers.start(drain_seconds=20)
    begin_drain(server)
    with server.connect() as connection:
        response = connection.exchange(post(BODY))
        assert response.admission_response["allowed"] is True
        assert response.closes
        connection.seconds_until_end()


def test_during_the_drain_a_kept_alive_connection_is_served_with_connection_close(servers: Servers) -> None:
    server = servers.start(drain_seconds=20)
    with server.connect() as connection:
        assert not connection.exchange(post(BODY)).closes
        begin_drain(server)
        response = connection.exchange(post(BODY))
        assert response.admission_response["allowed"] is True
        assert response.closes


def test_a_request_begun_before_the_drain_is_served_with_connection_close(servers: Servers) -> None:
    server = servers.start(drain_seconds=20)
    with server.connect() as connection:
        send_half(connection)
        begin_drain(server)
        time.sleep(0.3)
        response = connection.exchange(BODY[HALF:])
        assert response.admission_response["allowed"] is True
        assert response.closes


def test_the_drain_lasts_as_long_as_configured(servers: Servers) -> None:
    server = servers.start(drain_seconds=1)
    begin = time.monotonic()
    server.signal(signal.SIGTERM)
    assert server.exit_code(1 + SOON) == 0
    assert time.monotonic() - begin > 1


def test_without_a_drain_the_server_exits_soon(servers: Servers) -> None:
    server = servers.start(drain_seconds=0)
    server.signal(signal.SIGTERM)
    assert server.exit_code(SOON) == 0


def test_a_request_in_flight_completes_after_the_drain(servers: Servers) -> None:
    server = servers.start(drain_seconds=0.1)
    with server.connect() as connection:
        send_half(connection)
        server.signal(signal.SIGTERM)
        wait_for(lambda: not is_listening(server))
        time.sleep(0.5)
        response = connection.exchange(BODY[HALF:])
        assert response.admission_response["allowed"] is True
        assert response.closes
    assert server.exit_code(SOON) == 0


def test_a_connection_opened_at_the_last_moment_is_served(servers: Servers) -> None:
    # A client that gets no response on a new connection does not retry.
    server = servers.start(drain_seconds=0.3)
    server.signal(signal.SIGTERM)
    with server.connect() as connection:
        wait_for(lambda: not is_listening(server))
        time.sleep(0.2)
        assert connection.exchange(post(BODY)).admission_response["allowed"] is True
    assert server.exit_code(SOON) == 0


def test_a_second_sigterm_ends_the_drain(servers: Servers) -> None:
    server = servers.start(drain_seconds=30)
    begin_drain(server)
    server.signal(signal.SIGTERM)
    assert server.exit_code(SOON) == 0


def test_sigint_ends_the_drain(servers: Servers) -> None:
    server = servers.start(drain_seconds=30)
    begin_drain(server)
    server.signal(signal.SIGINT)
    assert server.exit_code(SOON) == 0


def test_sigint_stops_the_server_without_a_drain(servers: Servers) -> None:
    server = servers.start(drain_seconds=30)
    server.signal(signal.SIGINT)
    assert server.exit_code(SOON) == 0
    assert not is_listening(server)


def test_sigint_lets_requests_in_flight_finish(servers: Servers) -> None:
    server = servers.start(drain_seconds=30)
    with server.connect() as connection:
        send_half(connection)
        server.signal(signal.SIGINT)
        wait_for(lambda: not is_listening(server))
        assert connection.exchange(BODY[HALF:]).admission_response["allowed"] is True
    assert server.exit_code(SOON) == 0


def test_a_second_sigterm_aborts_requests_in_flight(servers: Servers) -> None:
    server = servers.start(drain_seconds=0)
    with server.connect() as connection:
        send_half(connection)
        server.signal(signal.SIGTERM)
        wait_for(lambda: not is_listening(server))
        server.signal(signal.SIGTERM)
        assert server.exit_code(SOON) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_clients_that_do_not_read_do_not_delay_shutdown(servers: Servers, number: signal.Signals) -> None:
    # They keep their connections open, and do not respond to the server's TLS close_notify.
    server = servers.start(drain_seconds=0, head_seconds=0.5)
    with ExitStack() as clients:
        for _ in range(5):
            clients.enter_context(server.connect())
            clients.enter_context(server.connect()).exchange(get("/healthz"))
            clients.enter_context(server.connect()).exchange(post(b"", {}))
            clients.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        server.signal(number)
        assert server.exit_code(SOON) == 0


def test_the_shutdown_is_logged_without_errors(servers: Servers) -> None:
    server = servers.start(drain_seconds=0)
    server.signal(signal.SIGTERM)
    assert server.exit_code(SOON) == 0
    assert {line["level"] for line in server.log()} == {"info"}
