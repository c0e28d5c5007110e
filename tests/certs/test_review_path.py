"""The path that authenticates the API server: how it is derived, and where it is in a URL."""

from __future__ import annotations

import datetime

import pytest

from certs.authority import NOT_BEFORE, Authority
from certs.ca_secret import CaSecret
from certs.review_path import find_review_path, is_secret_path, replace_review_path, secret_path

END = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
PATH = f"/mutate/{64 * 'a'}"


@pytest.fixture
def authorities() -> list[Authority]:
    return [Authority.create(NOT_BEFORE, END) for _ in range(2)]


def test_every_replica_derives_the_same_path_and_every_ca_has_its_own(authorities: list[Authority]) -> None:
    one, other = authorities
    assert secret_path(one) == secret_path(Authority(one.certificate, one.key))
    assert secret_path(one) != secret_path(other)
    assert all(is_secret_path(secret_path(authority)) for authority in authorities)


def test_a_path_is_accepted_before_its_ca_signs_and_while_it_does(authorities: list[Authority]) -> None:
    current, following = authorities
    assert CaSecret(current).path == secret_path(current)
    rotating = CaSecret(current, following)
    assert rotating.path == secret_path(following)
    assert rotating.paths == {secret_path(current), secret_path(following)}
    assert CaSecret(following).paths == {rotating.path}


@pytest.mark.parametrize("path", ["/mutate", "/mutate/", PATH + "x", PATH[:-1], f"{PATH}/", "/", "", f"/x{PATH}"])
def test_other_paths_are_not_secret_paths(path: str) -> None:
    assert not is_secret_path(path)


@pytest.mark.parametrize(
    ("url", "found", "changed"),
    [
        ("https://example.com/mutate", "/mutate", f"https://example.com{PATH}"),
        (f"https://example.com:8443/mutate/{64 * 'b'}", f"/mutate/{64 * 'b'}", f"https://example.com:8443{PATH}"),
        ("https://example.com/hooks/mutate/?a=b", "/mutate/", f"https://example.com/hooks{PATH}?a=b"),
    ],
)
def test_only_the_end_of_a_url_is_changed(url: str, found: str, changed: str) -> None:
    assert find_review_path(url) == found
    assert replace_review_path(url, PATH) == changed


@pytest.mark.parametrize("path", ["/other", "", "/mutate/pods", "/mutates"])
def test_a_url_with_another_path_has_no_review_path(path: str) -> None:
    assert find_review_path(f"https://example.com{path}") is None


def test_an_invalid_url_has_no_review_path() -> None:
    assert find_review_path("https://[example.com/mutate") is None
