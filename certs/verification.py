"""Whether a client that trusts a bundle accepts a server's certificate: by the Web PKI's rules, as Go's client does."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509 import verification

from certs.authority import Leaf


def refusal(leaf: Leaf, bundle: Sequence[x509.Certificate], host: str, now: datetime.datetime) -> str:
    """Say why a client would refuse a certificate for a DNS name; empty where it would not."""
    if not bundle:
        return "the bundle holds no certificate"
    builder = verification.PolicyBuilder().store(verification.Store(list(bundle))).time(now)
    try:
        builder.build_server_verifier(x509.DNSName(host)).verify(leaf.parsed, [])
    except (verification.VerificationError, ValueError) as error:
        return str(error)
    return ""
