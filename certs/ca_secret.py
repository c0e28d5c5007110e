"""The content of the Secret that stores the CAs: conversion from and to its data."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from certs.authority import NOT_BEFORE, Authority
from certs.certificate import read_bundle, rejection_reason, write_bundle
from certs.errors import Unusable
from certs.review_path import secret_path

TYPE = "kubernetes.io/tls"
"""tls.crt and tls.key contain the signing CA, where people and tools expect it; this type requires both keys."""
_TRIAL = "trial.invalid"
PREVIOUS = "previous.crt"
ROTATE_ANNOTATION = "graceful-worker/rotate"
"""Annotation on the Secret: a new value requests a rotation."""


@dataclass(frozen=True)
class CaSecret:
    """The content of the Secret; `current` is None until the first CA has been published."""

    current: Authority | None = None
    next: Authority | None = None
    previous: tuple[x509.Certificate, ...] = ()
    rotated: str = ""
    """The last completed rotation request."""
    dropped: tuple[x509.Certificate, ...] = ()
    lacks_previous: bool = False
    """Whether someone has removed the previous CAs manually: replicas always write an empty list."""

    @property
    def trusted(self) -> frozenset[x509.Certificate]:
        """The CAs that belong in every bundle."""
        return frozenset([*(authority.parsed for authority in self._signers), *self.previous])

    @property
    def path(self) -> str:
        """The path for every entry: that of `next`, so that API servers know it before it becomes `current`."""
        return secret_path(self._signers[-1])

    @property
    def paths(self) -> frozenset[str]:
        """The paths that authenticate the API server."""
        return frozenset(map(secret_path, self._signers))

    @property
    def _signers(self) -> list[Authority]:
        return [authority for authority in (self.current, self.next) if authority]


def write_data(ca_secret: CaSecret) -> dict[str, bytes]:
    """Return the data of the Secret."""
    data = {
        "tls.crt": ca_secret.current.certificate if ca_secret.current else b"",
        "tls.key": ca_secret.current.key if ca_secret.current else b"",
        PREVIOUS: write_bundle(ca_secret.previous),
        "dropped.crt": write_bundle(ca_secret.dropped),
        "rotated": ca_secret.rotated.encode(),
    }
    if ca_secret.next:
        data |= {"next.crt": ca_secret.next.certificate, "next.key": ca_secret.next.key}
    return data


def read_data(data: Mapping[str, bytes]) -> CaSecret:
    """Read the data of the Secret.

    Raises:
        Unusable: it contains no usable CA.

    """
    current, following = (_authority(data, name) for name in ("tls", "next"))
    if current is None and following is None:
        raise Unusable("the Secret contains no CA")
    previous, dropped = (tuple(read_bundle(data.get(key, b""))) for key in (PREVIOUS, "dropped.crt"))
    rotated = data.get("rotated", b"").decode(errors="replace")
    return CaSecret(current, following, previous, rotated, dropped, lacks_previous=PREVIOUS not in data)


def _authority(data: Mapping[str, bytes], name: str) -> Authority | None:
    certificate, key = data.get(f"{name}.crt", b""), data.get(f"{name}.key", b"")
    if not certificate and not key:
        return None
    authority = Authority(certificate, key)
    authority.check()
    # Clients may reject certificates of a CA during its validity, for example because of its curve.
    try:
        leaf = authority.issue([_TRIAL], NOT_BEFORE, authority.ends)
        reason = rejection_reason(leaf, [authority.parsed], _TRIAL, authority.ends - datetime.timedelta(seconds=1))
    except (ValueError, UnsupportedAlgorithm) as error:
        reason = str(error)
    if reason:
        raise Unusable(f"clients would reject certificates of this CA: {reason}")
    return authority
