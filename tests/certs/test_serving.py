"""A certificate that is replaced while it is served: only for new connections, and only by a usable one."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from certs.authority import NOT_BEFORE, Authority, issue_certificate
from certs.certificate import Leaf
from certs.errors import Unusable
from certs.files import FileCertificate, read_leaf
from certs.metrics import CertificateMetrics
from certs.served_certificate import ServedCertificate

LATER = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
HOST = "webhook.shop.svc"
Client = Callable[[int], Awaitable[None]]


def authority() -> Authority:
    return Authority.create(NOT_BEFORE, LATER)


def leaf(of: Authority | None = None) -> Leaf:
    return (of or authority()).issue([HOST], NOT_BEFORE, LATER)


def rsa_leaf() -> Leaf:
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, NOT_BEFORE, LATER).sign(key, hashes.SHA256())
    ).public_bytes(serialization.Encoding.PEM)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Leaf(certificate, pem)


def serve(served: ServedCertificate, client: Client) -> None:
    """Serve with a certificate while a client runs."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=served.context)
        async with server:
            await client(server.sockets[0].getsockname()[1])

    asyncio.run(run())


def unverified_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def presented_certificate(port: int, server_name: str | None = HOST) -> bytes:
    """Return the certificate that the server presents on a new connection."""
    _, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=unverified_context(), server_hostname=server_name or ""
    )
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return bytes(certificate)


def der(of: Leaf) -> bytes:
    return of.parsed.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize("server_name", [HOST, None])
@pytest.mark.parametrize("other", [leaf, rsa_leaf], ids=["same-type", "other-type"])
def test_a_new_connection_gets_the_new_certificate(other: Callable[[], Leaf], server_name: str | None) -> None:
    first, second = leaf(), other()
    served = ServedCertificate(first)

    async def client(port: int) -> None:
        assert await presented_certificate(port, server_name) == der(first)
        served.exchange(second)
        assert await presented_certificate(port, server_name) == der(second)

    serve(served, client)


def test_an_open_connection_keeps_working() -> None:
    served = ServedCertificate(leaf())

    async def client(port: int) -> None:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=unverified_context(), server_hostname=HOST
        )
        served.exchange(leaf())
        writer.write(b"still here")
        assert await reader.read(100) == b"still here"
        writer.close()

    serve(served, client)


def mismatch() -> Leaf:
    return Leaf(leaf().certificate, leaf().key)


def encrypted() -> Leaf:
    key = serialization.load_pem_private_key(leaf().key, None)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    return Leaf(leaf().certificate, pem)


@pytest.mark.parametrize("bad", [mismatch, encrypted, lambda: Leaf(b"nonsense", b"nonsense")])
def test_an_unusable_certificate_leaves_the_old_one_in_place(bad: Callable[[], Leaf]) -> None:
    first = leaf()
    served = ServedCertificate(first)

    async def client(port: int) -> None:
        with pytest.raises(Unusable):
            served.exchange(bad())
        assert await presented_certificate(port) == der(first)

    serve(served, client)


def test_a_certificate_that_the_bundle_does_not_verify_is_not_served() -> None:
    served = ServedCertificate(leaf())
    with pytest.raises(Unusable, match="rejects"):
        served.exchange(leaf(), [authority().parsed], HOST)


def test_a_certificate_for_another_host_is_not_served() -> None:
    ca = authority()
    served = ServedCertificate(leaf())
    with pytest.raises(Unusable, match="rejects"):
        served.exchange(leaf(ca), [ca.parsed], "other.shop.svc")


def test_a_certificate_that_the_bundle_verifies_is_served() -> None:
    ca = authority()
    served, fresh = ServedCertificate(leaf()), leaf(ca)
    served.exchange(fresh, [authority().parsed, ca.parsed], HOST)
    assert served.leaf == fresh


def from_files(folder: Path) -> tuple[FileCertificate, ServedCertificate, CertificateMetrics]:
    issue_certificate([HOST]).write(folder)
    served, metrics = ServedCertificate(read_leaf(folder / "tls.crt", folder / "tls.key")), CertificateMetrics()
    return FileCertificate(served, folder / "tls.crt", folder / "tls.key", metrics), served, metrics


def test_changed_files_are_served(tmp_path: Path) -> None:
    source, served, metrics = from_files(tmp_path)
    pair = issue_certificate([HOST])
    pair.write(tmp_path)
    source.look()
    assert served.leaf.certificate == pair.certificate
    assert metrics.leaf_expiry == served.leaf.ends


@pytest.mark.parametrize("content", [b"", b"nonsense", leaf().certificate])
def test_files_that_do_not_match_are_rejected_once_and_the_old_pair_is_served(tmp_path: Path, content: bytes) -> None:
    source, served, metrics = from_files(tmp_path)
    before = served.leaf
    (tmp_path / "tls.crt").write_bytes(content)
    source.look()
    assert served.leaf == before
    assert metrics.failures == 1


def test_an_expired_certificate_is_not_ready(tmp_path: Path) -> None:
    _, served, metrics = from_files(tmp_path)
    at_the_end = FileCertificate(served, tmp_path / "tls.crt", tmp_path / "tls.key", metrics, lambda: served.leaf.ends)
    assert not at_the_end.is_ready
