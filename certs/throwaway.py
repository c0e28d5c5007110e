"""A CA and a server certificate for one machine and a few days: for trying things out and for tests."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
CLOCK_SKEW = datetime.timedelta(minutes=5)
"""A client whose clock is a little behind must not find the certificate in the future."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate, its key, and the CA that a client needs to trust; all in PEM."""

    ca: bytes
    certificate: bytes
    key: bytes

    def write(self, folder: Path) -> None:
        """Write ca.crt, tls.crt and tls.key; only the owner can read the key."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "ca.crt").write_bytes(self.ca)
        (folder / "tls.crt").write_bytes(self.certificate)
        key = folder / "tls.key"
        key.unlink(missing_ok=True)
        key.touch(mode=0o600)
        key.write_bytes(self.key)


def issue(
    hosts: Sequence[str], *, now: datetime.datetime | None = None, validity: datetime.timedelta | None = None
) -> Pair:
    """Issue a certificate for DNS names and IP addresses; the CA's key is forgotten at once.

    Valid for a week unless `validity` says otherwise.

    Raises:
        ValueError: there is no host, or one is neither a DNS name nor an IP address.

    """
    if not hosts:
        raise ValueError("a certificate needs at least one host")
    begin = (now or datetime.datetime.now(datetime.UTC)) - CLOCK_SKEW
    end = begin + CLOCK_SKEW + (validity or datetime.timedelta(days=7))
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "graceful-worker throw-away CA")])
    ca = (
        _builder(ca_name, ca_name, ca_key.public_key(), ca_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "graceful-worker")])
    leaf = (
        _builder(subject, ca_name, key.public_key(), ca_key.public_key(), begin, end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_alternative_name(host) for host in hosts]), critical=False)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    return Pair(
        ca.public_bytes(serialization.Encoding.PEM),
        leaf.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    begin: datetime.datetime,
    end: datetime.datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not host or any(character.isspace() or character == "/" for character in host):
        raise ValueError(f"{host!r} is neither a DNS name nor an IP address")
    return x509.DNSName(host)
