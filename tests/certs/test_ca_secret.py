"""The Secret of the CAs: written data can be read again, and unusable data is rejected."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from click.testing import CliRunner

from certs.authority import NOT_BEFORE, Authority, issue_certificate
from certs.ca_secret import CaSecret, read_data, write_data
from certs.certificate import Leaf, read_bundle, rejection_reason
from certs.errors import Unusable
from webhook.cli.commands import main

LATER = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
FIRST, SECOND, THIRD = (Authority.create(NOT_BEFORE, LATER) for _ in range(3))


@pytest.mark.parametrize(
    "ca_secret",
    [
        CaSecret(current=FIRST),
        CaSecret(next=FIRST),
        CaSecret(FIRST, SECOND, (THIRD.parsed,), "by hand"),
        CaSecret(FIRST, None, (SECOND.parsed, THIRD.parsed)),
        CaSecret(FIRST, dropped=(SECOND.parsed,)),
    ],
)
def test_written_data_can_be_read_again(ca_secret: CaSecret) -> None:
    assert read_data(write_data(ca_secret)) == ca_secret


def test_previous_cas_removed_by_hand_are_distinguished_from_no_previous_cas() -> None:
    data = write_data(CaSecret(FIRST))
    del data["previous.crt"]
    assert read_data(data) == CaSecret(FIRST, lacks_previous=True)


def odd(certificate: bytes, old: bytes, new: bytes) -> bytes:
    """Change bytes of a certificate that signatures would protect, but parsers read first."""
    text = ssl.PEM_cert_to_DER_cert(certificate.decode())
    assert old in text
    return ssl.DER_cert_to_PEM_cert(text.replace(old, new)).encode()


VERSION_5 = (b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05")
"""Of an X.509 certificate: there are versions 1 to 3."""
TWICE_THE_SAME = (b"\x55\x1d\x0f", b"\x55\x1d\x13")
"""The extension keyUsage becomes another one of basicConstraints."""
ODD = [odd(FIRST.certificate, *VERSION_5), odd(FIRST.certificate, *TWICE_THE_SAME)]


def test_a_bundle_with_a_certificate_of_an_unknown_version_is_unreadable() -> None:
    assert read_bundle(ODD[0]) == []


@pytest.mark.parametrize("certificate", ODD, ids=["version", "extension"])
def test_a_certificate_that_no_client_accepts_is_rejected(certificate: bytes) -> None:
    assert rejection_reason(Leaf(certificate, FIRST.key), [SECOND.parsed], "localhost", NOT_BEFORE)


@pytest.mark.parametrize("certificate", ODD, ids=["version", "extension"])
def test_such_a_certificate_is_no_certificate_for_show(certificate: bytes, tmp_path: Path) -> None:
    file = tmp_path / "odd.crt"
    file.write_bytes(certificate)
    result = CliRunner().invoke(main, ["certs", "show", str(file)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "contains no certificate" in result.stderr


@pytest.mark.parametrize(
    "data",
    [
        *({"tls.crt": certificate, "tls.key": FIRST.key} for certificate in ODD),
        {},
        {"tls.crt": b"", "tls.key": b""},
        {"tls.crt": FIRST.certificate},
        {"tls.crt": FIRST.certificate, "tls.key": SECOND.key},
        {"tls.crt": b"nonsense", "tls.key": b"nonsense"},
        {"tls.crt": issue_certificate(["localhost"]).certificate, "tls.key": issue_certificate(["localhost"]).key},
        {**write_data(CaSecret(FIRST)), "next.crt": SECOND.certificate},
    ],
)
def test_unusable_data_is_rejected(data: dict[str, bytes]) -> None:
    with pytest.raises(Unusable):
        read_data(data)
