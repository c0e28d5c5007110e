"""The throw-away certificates: their content, and the files they are written to."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certs.authority import LOCAL_HOSTS, IssuedCertificate, issue_certificate

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def pair() -> IssuedCertificate:
    return issue_certificate(["webhook.graceful-worker.svc", "10.0.0.1", "::1"], now=NOW)


def test_host_names_and_ip_addresses_are_subject_alternative_names_of_their_type(pair: IssuedCertificate) -> None:
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["webhook.graceful-worker.svc"]
    assert list(map(str, names.get_values_for_type(x509.IPAddress))) == ["10.0.0.1", "::1"]


def test_the_ca_signed_the_certificate(pair: IssuedCertificate) -> None:
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(pair.ca))


def test_the_key_belongs_to_the_certificate_and_not_to_the_ca(pair: IssuedCertificate) -> None:
    key = load_pem_private_key(pair.key, None).public_key()
    assert key == x509.load_pem_x509_certificate(pair.certificate).public_key()
    assert key != x509.load_pem_x509_certificate(pair.ca).public_key()


def test_the_certificate_is_valid_for_a_week_and_for_clocks_that_are_behind(pair: IssuedCertificate) -> None:
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    assert certificate.not_valid_before_utc == NOW - datetime.timedelta(minutes=5)
    assert certificate.not_valid_after_utc == NOW + datetime.timedelta(days=7)


def test_the_validity_can_be_chosen() -> None:
    pair = issue_certificate(["localhost"], now=NOW, validity=datetime.timedelta(hours=1))
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    assert certificate.not_valid_after_utc == NOW + datetime.timedelta(hours=1)


def test_the_certificate_cannot_sign_others(pair: IssuedCertificate) -> None:
    extensions = x509.load_pem_x509_certificate(pair.certificate).extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign is False


def test_every_certificate_has_its_own_key_and_serial_number() -> None:
    first, second = issue_certificate(LOCAL_HOSTS), issue_certificate(LOCAL_HOSTS)
    assert first.key != second.key
    serials = {x509.load_pem_x509_certificate(pem).serial_number for pem in (first.certificate, second.certificate)}
    assert len(serials) == 2


@pytest.mark.parametrize("hosts", [[], [""], ["a b"], ["https://localhost"], ["ümlaut.example"], ["localhost", " "]])
def test_an_invalid_host_is_rejected(hosts: list[str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        issue_certificate(hosts)


def test_only_the_owner_can_read_the_key(pair: IssuedCertificate, tmp_path: Path) -> None:
    (tmp_path / "tls.key").write_text("one that everybody can read")
    pair.write(tmp_path)
    assert stat.S_IMODE((tmp_path / "tls.key").stat().st_mode) == 0o600


def test_each_file_contains_what_its_name_says(pair: IssuedCertificate, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    pair.write(folder)
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert contents == {"ca.crt": pair.ca, "tls.crt": pair.certificate, "tls.key": pair.key}
