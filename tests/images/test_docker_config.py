"""The user's own credentials: in files, and from credential helpers, which are real programs in these tests."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from webhook.images import docker_config
from webhook.images.credentials import Credential
from webhook.images.docker_config import load_user_keyring
from webhook.images.reference import parse_reference

ANN = {"username": "ann", "password": "secret"}
IMAGE = "registry.example.com/team/app"


def write(file: Path, config: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(config if isinstance(config, str) else json.dumps(config))


def found(home: Path, image: str = IMAGE, **environment: str) -> list[Credential]:
    keyring = load_user_keyring({"HOME": str(home), **environment})
    return list(asyncio.run(keyring.find(parse_reference(image))))


def names(credentials: list[Credential]) -> list[str]:
    return [credential.username for credential in credentials]


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in PATH for credential helpers."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def helper(folder: Path, name: str, script: str) -> None:
    file = folder / f"docker-credential-{name}"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def print_credential(username: str) -> str:
    return f"""read -r server; printf '{{"ServerURL":"%s","Username":"{username}","Secret":"s"}}' "$server" """


def test_without_a_configuration_there_are_no_credentials(tmp_path: Path) -> None:
    assert found(tmp_path) == []


@pytest.mark.parametrize(
    ("place", "variable"),
    [
        (".docker/config.json", ""),
        ("elsewhere/config.json", "DOCKER_CONFIG"),
        ("run/containers/auth.json", "XDG_RUNTIME_DIR"),
        (".config/containers/auth.json", ""),
        ("config/containers/auth.json", "XDG_CONFIG_HOME"),
        ("auth.json", "REGISTRY_AUTH_FILE"),
    ],
)
def test_credentials_are_found_where_docker_and_podman_keep_them(tmp_path: Path, place: str, variable: str) -> None:
    write(tmp_path / place, {"auths": {"registry.example.com": ANN}})
    folder = tmp_path / (place if variable == "REGISTRY_AUTH_FILE" else place.split("/", maxsplit=1)[0])
    assert names(found(tmp_path, **({variable: str(folder)} if variable else {}))) == ["ann"]


@pytest.mark.parametrize(
    "config",
    ["", "{", "[]", {"auths": 7}, {"credsStore": ["x"]}, "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")],
)
def test_a_malformed_configuration_counts_as_empty(tmp_path: Path, config: Any) -> None:
    write(tmp_path / ".docker" / "config.json", config)
    assert found(tmp_path) == []


def test_a_credential_helper_is_used_for_its_registry(tmp_path: Path, helpers: Path) -> None:
    helper(helpers, "own", f"""test "$1" = get || exit 1; {print_credential("kept")}""")
    config = {"credHelpers": {"registry.example.com": "own"}, "auths": {"other.example.com": ANN}}
    write(tmp_path / ".docker" / "config.json", config)
    assert found(tmp_path) == [Credential("kept", "s")]
    assert names(found(tmp_path, "other.example.com/app")) == ["ann"]
    assert found(tmp_path, "third.example.com/app") == []


def test_the_credentials_store_is_used_for_all_other_registries(tmp_path: Path, helpers: Path) -> None:
    helper(helpers, "own", print_credential("of-the-helper"))
    helper(helpers, "store", print_credential("of-the-store"))
    config = {"credsStore": "store", "credHelpers": {"registry.example.com": "own"}, "auths": {"x.example.com": {}}}
    write(tmp_path / ".docker" / "config.json", config)
    assert names(found(tmp_path)) == ["of-the-helper"]
    assert names(found(tmp_path, "x.example.com/app")) == ["of-the-store"]


def test_a_helper_runs_once_for_many_images_of_a_registry(tmp_path: Path, helpers: Path) -> None:
    helper(helpers, "store", f"echo asked >>{tmp_path / 'log'}; {print_credential('u')}")
    write(tmp_path / ".docker" / "config.json", {"credsStore": "store"})
    keyring = load_user_keyring({"HOME": str(tmp_path)})

    async def scenario() -> None:
        await asyncio.gather(*(keyring.find(parse_reference(f"{IMAGE}-{number}")) for number in range(20)))

    asyncio.run(scenario())
    assert (tmp_path / "log").read_text() == "asked\n"


def test_a_helper_gets_the_index_url_for_docker_hub(tmp_path: Path, helpers: Path) -> None:
    helper(
        helpers,
        "store",
        """read -r server; test "$server" = https://index.docker.io/v1/ && echo '{"Username":"u","Secret":"s"}'""",
    )
    write(tmp_path / ".docker" / "config.json", {"credsStore": "store"})
    assert names(found(tmp_path, "nginx")) == ["u"]


def test_a_helper_may_return_an_identity_token(tmp_path: Path, helpers: Path) -> None:
    helper(helpers, "store", print_credential("<token>"))
    write(tmp_path / ".docker" / "config.json", {"credsStore": "store"})
    assert found(tmp_path) == [Credential(identity_token="s")]


@pytest.mark.parametrize(
    "script",
    [
        "echo 'credentials not found in native keychain'; exit 1",
        "echo nonsense",
        "echo '{}'",
        "exit 0",
        "printf '\\377'",
    ],
)
def test_a_helper_without_credentials_is_ignored(tmp_path: Path, helpers: Path, script: str) -> None:
    helper(helpers, "store", script)
    write(tmp_path / ".docker" / "config.json", {"credsStore": "store", "auths": {"registry.example.com": ANN}})
    assert names(found(tmp_path)) == ["ann"]


@pytest.mark.parametrize("name", ["missing", "../../bin/sh", "a b", "x;y", ""])
def test_a_missing_or_invalid_helper_is_ignored(tmp_path: Path, name: str) -> None:
    write(tmp_path / ".docker" / "config.json", {"credsStore": name})
    assert found(tmp_path) == []


def test_a_helper_that_hangs_times_out(tmp_path: Path, helpers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_config, "HELPER_SECONDS", 0.2)
    helper(helpers, "store", "exec sleep 60")
    write(tmp_path / ".docker" / "config.json", {"credsStore": "store"})
    begun = time.monotonic()
    assert found(tmp_path) == []
    assert time.monotonic() - begun < 30
