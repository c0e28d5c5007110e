"""Connections: keep-alive, slow clients, and clients that send nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from webhook.core.reasons import Reason
from webhook.server.options import Files, Limits, ServerOptions

from .process import Server, Servers
from .samples import Review, fresh, read_review, uid_of
from .wire import JSON, Connection, get, head, post

GOOD_BODY = json.dumps(read_review("symfony-messenger")).encode()
LIMIT = 0.5
"""The impatient server's time limit for a head, and for a body, in seconds."""
ROOM = 30.0
"""Seconds within which the server must act, even on a busy machine; well below all limits that are not under test."""


def send_byte_by_byte(connection: Connection, data: bytes, seconds: float) -> None:
    """Send one byte at a time until the server closes the connection."""
    with suppress(OSError):
        for byte in data:
            connection.send(bytes([byte]))
            time.sleep(seconds)


def test_the_default_limits_suit_the_api_server() -> None:
    options = ServerOptions("127.0.0.1", 0, Files(Path("tls.crt"), Path("tls.key")))
    assert options.idle_seconds > 90  # the idle timeout of Go's HTTP client
    assert options.limits.body_bytes > 3 * 1024 * 1024  # the API server's limit for a request body
    assert options.head_seconds == 5
    assert options.limits == Limits(body_seconds=10)


def test_a_connection_is_reused(server: Server, messenger: Review) -> None:
    with server.connect() as connection:
        for _ in range(3):
            review = fresh(messenger)
            response = connection.exchange(post(json.dumps(review).encode()))
            assert response.admission_response["uid"] == uid_of(review)
            assert not response.closes


def test_an_idle_connection_outlives_the_limits_for_slow_clients(impatient_server: Server) -> None:
    with impatient_server.connect() as connection:
        assert connection.exchange(get("/healthz")).status == 200
        time.sleep(3 * LIMIT)
        assert connection.exchange(get("/healthz")).status == 200


def test_a_connection_that_is_idle_for_too_long_is_closed(servers: Servers) -> None:
    with servers.start(idle_seconds=1).connect() as connection:
        begin = time.monotonic()
        assert connection.exchange(get("/healthz")).status == 200
        connection.seconds_until_end()
        assert 0.9 < time.monotonic() - begin < 1 + ROOM


def test_a_request_with_connection_close_closes_the_connection(server: Server) -> None:
    with server.connect() as connection:
        response = connection.exchange(post(GOOD_BODY, {**JSON, "connection": "close"}))
        assert response.closes
        assert connection.seconds_until_end() < ROOM


def test_pipelined_requests_are_answered_in_order(server: Server, messenger: Review) -> None:
    reviews = [fresh(messenger) for _ in range(5)]
    with server.connect() as connection:
        connection.send(b"".join(post(json.dumps(review).encode()) for review in reviews))
        for review in reviews:
            assert connection.read_response().admission_response["uid"] == uid_of(review)


def test_too_many_pipelined_requests_get_400(server: Server) -> None:
    with server.connect() as connection:
        connection.send(post(GOOD_BODY) * 50)
        statuses: list[int] = []
        while not statuses or statuses[-1] == 200:
            statuses.append(connection.read_response().status)
    assert statuses[-1] == 400


def test_a_client_that_sends_requests_and_reads_no_responses_does_not_fill_the_memory(server: Server) -> None:
    before = server.resident_kib
    request = post(GOOD_BODY)
    with server.connect() as connection:
        sender = threading.Thread(target=send_repeatedly, args=(connection, request, 3000))
        sender.start()
        sender.join(10)
        growth = server.resident_kib - before
        with suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RDWR)
        sender.join()
    assert growth < 8 * 1024


def send_repeatedly(connection: Connection, request: bytes, count: int) -> None:
    """Send the same request again and again, with pauses, so that no more are pipelined than the server accepts."""
    with suppress(OSError):
        for _ in range(count):
            connection.send(request)
            time.sleep(0.001)


def test_an_http_1_0_request_gets_a_response_and_the_connection_closes(server: Server) -> None:
    with server.connect() as connection:
        request = head("POST", "/mutate", {**JSON, "content-length": str(len(GOOD_BODY))}, version="1.0")
        response = connection.exchange(request + GOOD_BODY)
        assert response.admission_response["allowed"] is True
        assert connection.seconds_until_end() < ROOM


def test_expect_100_continue_gets_100(server: Server) -> None:
    with server.connect() as connection:
        headers = {**JSON, "content-length": str(len(GOOD_BODY)), "expect": "100-continue"}
        assert connection.exchange(head("POST", "/mutate", headers)).status == 100
        assert connection.exchange(GOOD_BODY).admission_response["allowed"] is True


def test_expect_100_continue_for_a_body_that_is_too_large_gets_413(server: Server) -> None:
    with server.connect() as connection:
        headers = {**JSON, "content-length": "99999999", "expect": "100-continue"}
        assert connection.exchange(head("POST", "/mutate", headers)).status == 413


def test_a_request_may_come_in_pieces(server: Server) -> None:
    request = post(GOOD_BODY)
    with server.connect() as connection:
        for start in range(0, len(request), 50):
            connection.send(request[start : start + 50])
        assert connection.read_response().admission_response["allowed"] is True


def test_a_connection_opened_before_it_is_needed_stays_open(impatient_server: Server) -> None:
    with impatient_server.connect() as connection:
        time.sleep(3 * LIMIT)
        assert connection.exchange(get("/healthz")).status == 200


def test_a_connection_without_any_request_is_closed_after_the_idle_timeout(servers: Servers) -> None:
    server = servers.start(idle_seconds=1)
    begin = time.monotonic()
    with server.connect() as connection:
        connection.seconds_until_end()
        assert 0.9 < time.monotonic() - begin < 1 + ROOM


def test_a_connection_whose_request_head_arrives_byte_by_byte_is_closed(impatient_server: Server) -> None:
    with impatient_server.connect() as connection:
        begin = time.monotonic()
        sender = threading.Thread(target=send_byte_by_byte, args=(connection, get("/healthz"), LIMIT / 5))
        sender.start()
        connection.seconds_until_end()
        assert LIMIT / 2 < time.monotonic() - begin < ROOM
        sender.join()


def test_the_time_limit_for_a_head_applies_to_the_second_request_of_a_connection_too(impatient_server: Server) -> None:
    with impatient_server.connect() as connection:
        assert connection.exchange(get("/healthz")).status == 200
        begin = time.monotonic()
        connection.send(b"GET /healthz HTTP/1.1\r\n")
        connection.seconds_until_end()
        assert LIMIT / 2 < time.monotonic() - begin < ROOM


def test_a_body_that_arrives_byte_by_byte_gets_408(impatient_server: Server) -> None:
    with impatient_server.connect() as connection:
        connection.send(head("POST", "/mutate", {**JSON, "content-length": "1000"}))
        sender = threading.Thread(target=send_byte_by_byte, args=(connection, b" " * 1000, LIMIT / 5))
        sender.start()
        response = connection.read_response()
        assert (response.status, response.error) == (408, Reason.REVIEW_TOO_SLOW.value)
        assert response.closes
        connection.close()
        sender.join()


def test_a_body_that_never_arrives_gets_408(impatient_server: Server) -> None:
    with impatient_server.connect() as connection:
        response = connection.exchange(head("POST", "/mutate", {**JSON, "content-length": "1000"}))
        assert (response.status, response.error) == (408, Reason.REVIEW_TOO_SLOW.value)


@pytest.mark.parametrize("rest", [b"\r\n", b"\r\n\r\n"], ids=["line", "lines"])
def test_empty_lines_do_not_keep_an_idle_connection_open(impatient_server: Server, rest: bytes) -> None:
    with impatient_server.connect() as connection:
        assert connection.exchange(get("/healthz")).status == 200
        connection.send(rest)
        assert connection.seconds_until_end() < ROOM


def test_the_unread_rest_of_a_body_does_not_keep_a_connection_open(impatient_server: Server) -> None:
    with impatient_server.connect() as connection:
        assert connection.exchange(head("POST", "/unknown", {"content-length": "1000"})).status == 404
        connection.send(b" ")
        assert connection.seconds_until_end() < ROOM


def test_a_body_that_the_server_does_not_read_does_not_close_the_connection(server: Server) -> None:
    with server.connect() as connection:
        assert connection.exchange(post(b"x" * 100_000, path="/unknown")).status == 404
        assert connection.exchange(post(GOOD_BODY)).status == 200


def test_a_connection_without_a_tls_handshake_is_closed(impatient_server: Server) -> None:
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", impatient_server.port), timeout=ROOM) as client:
        assert client.recv(1) == b""
        assert LIMIT / 2 < time.monotonic() - begin < ROOM


def test_clients_that_send_nothing_do_not_block_others(patient_server: Server) -> None:
    with ExitStack() as silent:
        for _ in range(50):
            silent.enter_context(socket.create_connection(("127.0.0.1", patient_server.port)))
            silent.enter_context(patient_server.connect())
        begin = time.monotonic()
        assert patient_server.review(GOOD_BODY).admission_response["allowed"] is True
        assert time.monotonic() - begin < ROOM


def test_clients_in_the_middle_of_a_body_do_not_block_others(patient_server: Server) -> None:
    with ExitStack() as slow:
        for _ in range(50):
            connection = slow.enter_context(patient_server.connect())
            connection.send(head("POST", "/mutate", {**JSON, "content-length": str(len(GOOD_BODY))}) + GOOD_BODY[:99])
        begin = time.monotonic()
        assert patient_server.review(GOOD_BODY).admission_response["allowed"] is True
        assert time.monotonic() - begin < ROOM


def test_a_request_for_a_protocol_upgrade_is_ignored(server: Server) -> None:
    headers = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    assert server.exchange(head("GET", "/healthz", headers)).status == 200
