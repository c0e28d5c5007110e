"""Image names are parsed as in the kubelet."""

from __future__ import annotations

import pytest

from webhook.images.errors import InvalidReference
from webhook.images.reference import Reference, parse_reference

SHA256 = "sha256:" + "a" * 64
SHA512 = "sha512:" + "b" * 128
HUB = ("docker.io", "registry-1.docker.io")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nginx", Reference(*HUB, "library/nginx")),
        ("nginx:1.29", Reference(*HUB, "library/nginx", "1.29")),
        ("team/app", Reference(*HUB, "team/app")),
        ("docker.io/nginx", Reference(*HUB, "library/nginx")),
        ("index.docker.io/team/app:1", Reference(*HUB, "team/app", "1")),
        ("localhost/app", Reference("localhost", "localhost", "app")),
        ("localhost:5000/app:1", Reference("localhost:5000", "localhost:5000", "app", "1")),
        ("registry:5000/app", Reference("registry:5000", "registry:5000", "app")),
        ("ghcr.io/team/app/worker:v1", Reference("ghcr.io", "ghcr.io", "team/app/worker", "v1")),
        ("GHCR.io/team/app", Reference("ghcr.io", "ghcr.io", "team/app")),
        ("10.0.0.1/app", Reference("10.0.0.1", "10.0.0.1", "app")),
        ("[::1]:5000/app", Reference("[::1]:5000", "[::1]:5000", "app")),
        (f"nginx@{SHA256}", Reference(*HUB, "library/nginx", "latest", SHA256)),
        (f"ghcr.io/a/b:v1@{SHA256}", Reference("ghcr.io", "ghcr.io", "a/b", "v1", SHA256)),
        (f"ghcr.io/a/b@{SHA512}", Reference("ghcr.io", "ghcr.io", "a/b", "latest", SHA512)),
        ("ghcr.io/a__b/c-d.e--f", Reference("ghcr.io", "ghcr.io", "a__b/c-d.e--f")),
    ],
)
def test_an_image_name_is_parsed(image: str, expected: Reference) -> None:
    assert parse_reference(image) == expected


def test_a_digest_wins_over_a_tag() -> None:
    assert parse_reference(f"nginx:1.29@{SHA256}").tag_or_digest == SHA256
    assert parse_reference("nginx:1.29").tag_or_digest == "1.29"


@pytest.mark.parametrize(
    "image",
    [
        "",
        " nginx",
        "nginx ",
        "nginx\n",
        "team//app",
        "/app",
        "app/",
        "ghcr.io/Team/app",
        "ghcr.io/app:",
        "ghcr.io/app:a b",
        "ghcr.io/app:" + "x" * 129,
        "ghcr.io/app@",
        "ghcr.io/app@sha256:abc",
        f"ghcr.io/app@{SHA256.upper()}",
        f"ghcr.io/app@{SHA256}@{SHA256}",
        "ghcr.io/app@md5:d41d8cd98f00b204e9800998ecf8427e",
        "https://ghcr.io/app",
        "user:password@ghcr.io/app",
        "ghcr.io:0/app",
        "ghcr.io:65536/app",
        "ghcr.io:5000000000000000/app",
        "-ghcr.io/app",
        "ghcr..io/app",
        "ghcr.io/../app",
        "ghcr.io/a/%2e%2e/b",
        "ghcr.io/app?x=1",
        "ghcr.io/app#x",
        "gһcr.io/app",
        "ghcr.io/äpp",
        "a" * 64,
        "ghcr.io/" + "a/" * 600 + "b",
        "ghcr.io/" + "a" * 256,
    ],
)
def test_an_invalid_image_name_is_rejected(image: str) -> None:
    with pytest.raises(InvalidReference) as raised:
        parse_reference(image)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 200


def test_the_error_for_upper_case_says_to_use_lower_case() -> None:
    with pytest.raises(InvalidReference, match="lower case"):
        parse_reference("ghcr.io/Team/app")
