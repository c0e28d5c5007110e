"""Parsing of the WWW-Authenticate headers of registries."""

from __future__ import annotations

import pytest

from webhook.images.auth import Challenge, parse_challenges

HUB = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"'


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], []),
        ([""], []),
        (["Basic"], [("basic", {})]),
        (['Basic realm="Registry"'], [("basic", {"realm": "Registry"})]),
        (
            [HUB],
            [
                (
                    "bearer",
                    {
                        "realm": "https://auth.docker.io/token",
                        "service": "registry.docker.io",
                        "scope": "repository:a/b:pull",
                    },
                )
            ],
        ),
        (['BEARER Realm = "https://x/" , service=plain'], [("bearer", {"realm": "https://x/", "service": "plain"})]),
        (['Bearer realm="a", Basic realm="b"'], [("bearer", {"realm": "a"}), ("basic", {"realm": "b"})]),
        (['Basic realm="b"', 'Bearer realm="a"'], [("basic", {"realm": "b"}), ("bearer", {"realm": "a"})]),
        (["Negotiate", 'Basic realm="b"'], [("negotiate", {}), ("basic", {"realm": "b"})]),
        (['Negotiate abc==, Basic realm="b"'], [("negotiate", {}), ("basic", {"realm": "b"})]),
        (['Negotiate, Basic realm="b"'], [("negotiate", {}), ("basic", {"realm": "b"})]),
        ([r'Basic realm="a \"b\", c=\\d"'], [("basic", {"realm": r'a "b", c=\d'})]),
        (
            ['Bearer realm="a,b",scope="repository:x:pull,push"'],
            [("bearer", {"realm": "a,b", "scope": "repository:x:pull,push"})],
        ),
        (['Bearer realm="first",realm="second"'], [("bearer", {"realm": "first"})]),
        (['Bearer realm=""'], [("bearer", {"realm": ""})]),
        (['Bearer realm="never ends'], [("bearer", {})]),
        (['Bearer realm="a" nonsense'], [("bearer", {})]),
        (["=;="], []),
    ],
)
def test_challenges_are_parsed(headers: list[str], expected: list[tuple[str, dict[str, str]]]) -> None:
    assert parse_challenges(headers) == [Challenge(scheme, parameters) for scheme, parameters in expected]


def test_a_long_header_is_parsed_quickly() -> None:
    for odd in ('Bearer realm="' + "\\" * 60_000, "a" * 60_000, "a=," * 20_000, " ," * 30_000, 'Bearer a="' * 6_000):
        parse_challenges([odd])
