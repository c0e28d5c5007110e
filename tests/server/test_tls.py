"""TLS: the certificate, the versions, and clients that do not use it."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from pathlib import Path

import pytest

from certs.authority import LOCAL_HOSTS, issue_certificate

from .process import Server, Servers
from .samples import Review
from .wire import get

HANDSHAKE = b"\x16"


def trusting(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=certificate / "ca.crt")
    # Newer Python versions set this flag by default.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("hostname", ["localhost", "127.0.0.1"])
def test_the_certificate_verifies_strictly(server: Server, certificate: Path, hostname: str) -> None:
    with server.connect(hostname, trusting(certificate)) as connection:
        assert connection.exchange(get("/healthz")).status == 200


def test_the_certificate_does_not_verify_for_another_name(server: Server, certificate: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"), server.connect("example.com"):
        pass


def test_the_certificate_does_not_verify_with_another_ca(server: Server, tmp_path: Path) -> None:
    issue_certificate(LOCAL_HOSTS).write(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError), server.connect(trust=trusting(tmp_path)):
        pass


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda v: v.name)
def test_safe_tls_versions_work(server: Server, certificate: Path, version: ssl.TLSVersion) -> None:
    context = trusting(certificate)
    context.minimum_version = context.maximum_version = version
    with server.connect(trust=context) as connection:
        assert connection.socket.version() == version.name.replace("_", ".")
        assert connection.exchange(get("/healthz")).status == 200


@pytest.mark.parametrize(
    ("version", "accepted"),
    [(0x0301, False), (0x0302, False), (0x0303, True)],
    ids=["TLSv1.0", "TLSv1.1", "TLSv1.2"],
)
def test_unsafe_tls_versions_are_refused(server: Server, version: int, accepted: bool) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(client_hello(version))
        response = connection.recv(1)
    assert (response == HANDSHAKE) is accepted


def client_hello(version: int) -> bytes:
    """Return the ClientHello of a client that supports TLS versions up to this one.

    Written by hand, because today's OpenSSL does not offer the old versions. The first cipher,
    ECDHE-ECDSA-AES128-SHA, is the one in the old versions that fits the certificate's key; the other is for TLS 1.2.
    """
    ciphers = bytes.fromhex("0004 c009 c02b")
    extensions = bytes.fromhex("000a 0004 0002 0017" + "000b 0002 0100" + "000d 0006 0004 0403 0203")
    hello = struct.pack("!H32sB", version, os.urandom(32), 0) + ciphers + b"\x01\x00"
    hello += struct.pack("!H", len(extensions)) + extensions
    message = b"\x01" + len(hello).to_bytes(3, "big") + hello
    return HANDSHAKE + struct.pack("!HH", min(version, 0x0302), len(message)) + message


def test_a_client_that_offers_http_2_gets_http_1_1(server: Server, certificate: Path) -> None:
    # The API server offers both, too.
    context = trusting(certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with server.connect(trust=context) as connection:
        assert connection.socket.selected_alpn_protocol() in (None, "http/1.1")
        assert connection.exchange(get("/healthz")).status == 200


@pytest.mark.parametrize(
    "data", [get("/healthz"), b"\x16\x03\x01\xff\xff" + b"\x00" * 1000, b"\x00" * 100_000], ids=["http", "tls", "zeros"]
)
def test_data_that_is_not_tls_does_not_disturb_the_server(server: Server, messenger: Review, data: bytes) -> None:
    lines = len(server.log())
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        response = b""
        try:
            while piece := connection.recv(1000):
                response += piece
        except ConnectionError:
            pass
    assert not response.startswith(b"HTTP")
    assert server.review(messenger).admission_response["allowed"] is True
    assert len(server.log()) <= lines + 2


def test_handshakes_that_break_off_at_any_point_do_not_disturb_the_server(server: Server, messenger: Review) -> None:
    hello = ssl.MemoryBIO()
    client = server.trust.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    data = hello.read()
    for length in range(0, len(data), 16):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(data[:length])
    assert server.review(messenger).admission_response["allowed"] is True


def test_a_port_in_use_is_logged_and_the_process_exits(server: Server, servers: Servers) -> None:
    second = servers.launch(port=server.port)
    assert second.exit_code(30) != 0
    assert any("address already in use" in line["message"].casefold() for line in second.log())
