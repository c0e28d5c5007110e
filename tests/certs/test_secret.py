"""The Secret that keeps the CAs: what is written can be read, and what cannot be used is refused."""

from __future__ import annotations

import datetime

import pytest

from certs.authority import Authority, issue_certificate
from certs.errors import Unusable
from certs.rotation import BEGIN, Vault
from certs.secret import from_data, to_data

LATER = datetime.datetime(2100, 1, 1, tzinfo=datetime.UTC)
FIRST, SECOND, THIRD = (Authority.create(BEGIN, LATER) for _ in range(3))


@pytest.mark.parametrize(
    "vault",
    [
        Vault(current=FIRST),
        Vault(next=FIRST),
        Vault(FIRST, SECOND, (THIRD.parsed,), "by hand"),
        Vault(FIRST, None, (SECOND.parsed, THIRD.parsed)),
        Vault(FIRST, dropped=(SECOND.parsed,)),
    ],
)
def test_what_is_written_can_be_read(vault: Vault) -> None:
    assert from_data(to_data(vault)) == vault


def test_that_the_previous_cas_were_removed_by_hand_can_be_told_from_there_being_none() -> None:
    data = to_data(Vault(FIRST))
    del data["previous.crt"]
    assert from_data(data) == Vault(FIRST, forgets=True)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"tls.crt": b"", "tls.key": b""},
        {"tls.crt": FIRST.certificate},
        {"tls.crt": FIRST.certificate, "tls.key": SECOND.key},
        {"tls.crt": b"nonsense", "tls.key": b"nonsense"},
        {"tls.crt": issue_certificate(["localhost"]).certificate, "tls.key": issue_certificate(["localhost"]).key},
        {**to_data(Vault(FIRST)), "next.crt": SECOND.certificate},
    ],
)
def test_what_cannot_be_used_is_refused(data: dict[str, bytes]) -> None:
    with pytest.raises(Unusable):
        from_data(data)
