"""Describes certificates: names, issuer, validity."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509


def describe(pem: bytes) -> Iterator[str]:
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
        names = _alternative_names(certificate)
        if names:
            yield f"  for       {', '.join(names)}"


def _name(name: x509.Name) -> str:
    return name.rfc4514_string() or "(no name)"


def _alternative_names(certificate: x509.Certificate) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in names]
