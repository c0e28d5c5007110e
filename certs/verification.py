"""Checks whether clients that trust a bundle accept a server certificate, by the Web PKI rules that Go uses."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509 import verification

from certs.authority import Leaf


def refusal(leaf: Leaf, bundle: Sequence[x509.Certificate], host: str, now: datetime.datetime) -> str:
    """Return why a client would reject a certificate for a DNS name; empty if it would not."""
    if not bundle:
        return "the bundle contains no certificate"
    builder = verification.PolicyBuilder().store(verification.Store(list(bundle))).time(now)
    try:
        builder.build_server_verifier(x509.DNSName(host)).verify(leaf.parsed, [])
    except (verification.VerificationError, ValueError) as error:
        return str(error)
    return ""
