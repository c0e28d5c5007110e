"""The Secret of the CAs: written data can be read again, and unusable data is rejected."""

from __future__ import annotations

import datetime

import pytest

from certs.authority import NOT_BEFORE, Authority, issue_certificate
from certs.ca_secret import CaSecret, read_data, write_data
from certs.errors import Unusable

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


@pytest.mark.parametrize(
    "data",
    [
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
