"""Fixtures for image lookups: real registries and a certificate authority."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.images.docker_registry import DockerRegistry, docker_registry, missing_program


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.crt"
    authority.cert_pem.write_to_path(file)
    return file


@pytest.fixture(scope="module")
def open_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """A registry without authentication, over plain HTTP."""
    if missing_program():
        pytest.skip(missing_program())
    with docker_registry(tmp_path_factory.mktemp("open")) as registry:
        yield registry


@pytest.fixture(scope="module")
def closed_registry(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[DockerRegistry]:
    """A registry that accepts one user, over TLS."""
    if missing_program():
        pytest.skip(missing_program())
    with docker_registry(tmp_path_factory.mktemp("closed"), authority) as registry:
        yield registry
