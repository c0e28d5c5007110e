"""Parsing of Docker credentials, and the images for which they are used."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from webhook.images.credentials import Credential, Keyring, UnionKeyring
from webhook.images.docker_config import parse_docker_config, parse_dockercfg
from webhook.images.reference import parse_reference

CASES = YAML(typ="safe", pure=True).load(Path(__file__).parent / "keyring-cases.yaml")


def found(keyring: Keyring, image: str) -> list[Credential]:
    return list(asyncio.run(keyring.find(parse_reference(image))))


@pytest.mark.parametrize(("name", "image"), [(name, image) for name, case in CASES.items() for image in case["images"]])
def test_the_credentials_for_an_image_are_found_as_the_kubelet_finds_them(name: str, image: str) -> None:
    auths = {place: {"username": user, "password": "p"} for place, user in CASES[name]["auths"].items()}
    keyring = Keyring(parse_docker_config(json.dumps({"auths": auths}).encode()))
    assert [credential.username for credential in found(keyring, image)] == CASES[name]["images"][image]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": encoded("ann:secret")}, Credential("ann", "secret")),
        ({"auth": encoded("ann:secret").rstrip("=")}, Credential("ann", "secret")),
        ({"auth": encoded("ann:with:colons")}, Credential("ann", "with:colons")),
        ({"auth": encoded("ann:"), "identitytoken": "i"}, Credential("ann", "", "i")),
        ({"username": "ann", "password": "secret"}, Credential("ann", "secret")),
        ({"username": "x", "password": "y", "auth": encoded("ann:secret")}, Credential("ann", "secret")),
        ({"identitytoken": "i"}, Credential(identity_token="i")),
        ({"registrytoken": "r"}, Credential(registry_token="r")),
        ({"username": "ann", "password": "secret", "email": "a@b", "unknown": [1]}, Credential("ann", "secret")),
        ({"auth": encoded("no colon")}, None),
        ({"auth": "no base64!"}, None),
        ({"auth": base64.b64encode(b"\xff:\xff").decode()}, None),
        ({"auth": 7}, None),
        ({"username": None, "password": None}, None),
        ({}, None),
        ([], None),
        (None, None),
        ("ann:secret", None),
    ],
)
def test_an_entry_is_parsed_or_ignored(entry: Any, expected: Credential | None) -> None:
    auths = {"registry.example.com": entry, "other.example.com": {"username": "ben", "password": "p"}}
    for keyring in (
        Keyring(parse_docker_config(json.dumps({"auths": auths}).encode())),
        Keyring(parse_dockercfg(json.dumps(auths).encode())),
    ):
        assert found(keyring, "registry.example.com/app") == ([expected] if expected else [])
        assert [credential.username for credential in found(keyring, "other.example.com/app")] == ["ben"]


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b'{"auths": []}', b'{"auths": null}', b"\xff", b'{"auths":' + b'{"a":' * 99999]
)
def test_an_invalid_configuration_counts_as_empty(body: bytes) -> None:
    assert parse_docker_config(body) == []
    assert found(Keyring(parse_dockercfg(body)), "registry.example.com/app") == []


def test_keyrings_are_searched_in_order_and_each_credential_is_returned_once() -> None:
    ann, ben = Credential("ann", "p"), Credential("ben", "p")
    keyrings = UnionKeyring([Keyring([("x.test", ben)]), Keyring([("x.test", ann), ("x.test", ben)])])
    assert found(keyrings, "x.test/app") == [ben, ann]


def test_the_repr_of_a_credential_shows_no_secret() -> None:
    shown = repr(Credential("name", "password", "identity", "registry"))
    assert not any(word in shown for word in ("name=", "password", "identity", "registry"))
