"""Certificate authorities and the server certificates that they sign, also short-lived ones for local use and tests."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.certificate import UNREADABLE, Leaf
from certs.errors import Unusable

COMMON_NAME = "graceful-worker CA"
NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
"""The start of validity of certificates in the cluster, before any clock's time."""
LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
CLOCK_SKEW = datetime.timedelta(minutes=5)
"""Allows for clients whose clock is slightly slow."""


class IssuedCertificate(msgspec.Struct, frozen=True):
    """A certificate, its key, and the CA to trust (PEM)."""

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


@dataclass(frozen=True)
class Authority:
    """A CA's certificate and its key (PEM)."""

    certificate: bytes
    key: bytes

    @classmethod
    def create(cls, begin: datetime.datetime, end: datetime.datetime, common_name: str = COMMON_NAME) -> Authority:
        """Create a new CA on the curve P-256."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = _builder(name, name, key, key, begin, end, is_ca=True).sign(key, hashes.SHA256())
        return cls(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))

    @cached_property
    def parsed(self) -> x509.Certificate:
        """The CA's certificate."""
        return x509.load_pem_x509_certificate(self.certificate)

    @property
    def begins(self) -> datetime.datetime:
        """The start of the CA's validity."""
        return self.parsed.not_valid_before_utc

    @property
    def ends(self) -> datetime.datetime:
        """When the CA expires."""
        return self.parsed.not_valid_after_utc

    def check(self) -> None:
        """Check that this is a CA with its own key.

        Raises:
            Unusable: it is not.

        """
        try:
            constraints = self.parsed.extensions.get_extension_for_class(x509.BasicConstraints).value
            own = self._key.public_key() == self.parsed.public_key()
        except (*UNREADABLE, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound) as error:
            raise Unusable(f"not a CA certificate with an elliptic-curve key: {error}") from None
        if not constraints.ca:
            raise Unusable("the certificate is not a CA certificate")
        if not own:
            raise Unusable("the key does not match the CA certificate")

    def issue(self, hosts: Sequence[str], begin: datetime.datetime, end: datetime.datetime) -> Leaf:
        """Issue a server certificate for DNS names and IP addresses; it never outlives the CA.

        Raises:
            ValueError: there is no host, or one is neither a DNS name nor an IP address.

        """
        if not hosts:
            raise ValueError("a certificate needs at least one host")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "graceful-worker")])
        signer = self._key
        certificate = (
            _builder(subject, self.parsed.subject, key, signer, begin, min(end, self.ends), is_ca=False)
            .add_extension(x509.SubjectAlternativeName([_alternative_name(host) for host in hosts]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        return Leaf(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))

    @property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        key = serialization.load_pem_private_key(self.key, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Unusable("the CA's key is not an elliptic-curve key")
        return key


def issue_certificate(
    hosts: Sequence[str], *, now: datetime.datetime | None = None, validity: datetime.timedelta | None = None
) -> IssuedCertificate:
    """Issue a certificate for DNS names and IP addresses; the CA's key is discarded.

    Valid for a week unless `validity` is given.

    Raises:
        ValueError: there is no host, or one is neither a DNS name nor an IP address.

    """
    begin = (now or datetime.datetime.now(datetime.UTC)) - CLOCK_SKEW
    end = begin + CLOCK_SKEW + (validity or datetime.timedelta(days=7))
    authority = Authority.create(begin, end, "graceful-worker throw-away CA")
    leaf = authority.issue(hosts, begin, end)
    return IssuedCertificate(authority.certificate, leaf.certificate, leaf.key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    begin: datetime.datetime,
    end: datetime.datetime,
    *,
    is_ca: bool,
) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )
    public_key = key.public_key()
    return (
        x509.CertificateBuilder(issuer_name=issuer, subject_name=subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        # All CAs have the same name, so clients use this identifier to choose the right one in a bundle.
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=0 if is_ca else None), critical=True)
        .add_extension(usage, critical=True)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _alternative_name(host: str) -> x509.GeneralName:
    with suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    if not host or any(character.isspace() or character == "/" for character in host):
        raise ValueError(f"{host!r} is neither a DNS name nor an IP address")
    return x509.DNSName(host)
