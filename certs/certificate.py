"""Server certificates ("leaves") and CA bundles: reads, writes, verifies and describes them."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import verification

UNREADABLE = (ValueError, x509.InvalidVersion, x509.DuplicateExtension)
"""What reading a certificate and its fields raises."""


@dataclass(frozen=True)
class Leaf:
    """A server's certificate and its key (PEM)."""

    certificate: bytes
    key: bytes

    @cached_property
    def parsed(self) -> x509.Certificate:
        """The certificate, or the first one in a chain."""
        return x509.load_pem_x509_certificates(self.certificate)[0]

    @property
    def ends(self) -> datetime.datetime:
        """When the certificate expires."""
        return self.parsed.not_valid_after_utc


def read_bundle(pem: bytes) -> list[x509.Certificate]:
    """Read the certificates in a bundle; an unreadable bundle has none, and invalid certificates are skipped."""
    try:
        return [certificate for certificate in x509.load_pem_x509_certificates(pem) if _is_readable(certificate)]
    except UNREADABLE:
        return []


def write_bundle(certificates: Iterable[x509.Certificate]) -> bytes:
    """Write certificates as PEM, without duplicates."""
    return b"".join(dict.fromkeys(c.public_bytes(serialization.Encoding.PEM) for c in certificates))


def _is_readable(certificate: x509.Certificate) -> bool:
    """Tell whether all needed fields can be read: some are parsed only on access."""
    try:
        list(certificate.subject)
        certificate.not_valid_after_utc  # noqa: B018 - parses it
    except UNREADABLE:
        return False
    return True


def rejection_reason(leaf: Leaf, bundle: Sequence[x509.Certificate], host: str, now: datetime.datetime) -> str:
    """Return why a client that trusts a bundle would reject a certificate for a DNS name; empty if it would not.

    These are the Web PKI rules, which Go uses, too.
    """
    if not bundle:
        return "the bundle contains no certificate"
    builder = verification.PolicyBuilder().store(verification.Store(list(bundle))).time(now)
    try:
        builder.build_server_verifier(x509.DNSName(host)).verify(leaf.parsed, [])
    except (verification.VerificationError, *UNREADABLE) as error:
        return str(error)
    return ""


def describe_certificates(pem: bytes) -> Iterator[str]:
    """Describe the certificates in a PEM text, one paragraph each.

    Raises:
        ValueError: there is no certificate.

    """
    for certificate in x509.load_pem_x509_certificates(pem):
        yield _name(certificate.subject)
        yield f"  signed by {_name(certificate.issuer)}"
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        yield f"  valid     {begin:%Y-%m-%d} to {end:%Y-%m-%d %H:%M} UTC"
        yield f"  serial    {certificate.serial_number:x}"
        with suppress(x509.ExtensionNotFound):
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            if names:
                yield f"  for       {', '.join(str(name.value) for name in names)}"


def _name(name: x509.Name) -> str:
    return name.rfc4514_string() or "(no name)"
