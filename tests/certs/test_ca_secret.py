"""The Secret of the CAs: what is written can be read, and unusable content is rejected."""

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
def test_what_is_written_can_be_read(ca_secret: CaSecret) -> None:
    assert read_data(write_data(ca_secret)) == ca_secret


def test_that_the_previous_cas_were_removed_by_hand_can_be_told_from_there_being_none() -> None:
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
def test_what_cannot_be_used_is_refused(data: dict[str, bytes]) -> None:
    with pytest.raises(Unusable):
        read_data(data)
