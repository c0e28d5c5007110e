"""Options for image lookups."""

from __future__ import annotations

import ssl
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, cast

import click

from webhook.cli.failure import fail
from webhook.cli.settings import EXISTING_FILE, Command, setting, with_options
from webhook.images.command_table import CommandTable, read_table
from webhook.images.docker_config import parse_docker_config
from webhook.images.errors import InvalidTable
from webhook.images.options import LookupOptions, Platform
from webhook.images.sources import ImageSettings


class PlatformType(click.ParamType[Platform]):
    """A platform, such as linux/arm64 or linux/arm/v7."""

    name = "platform"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Platform:
        """Read the platform."""
        if isinstance(value, Platform):
            return value
        parts = value.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            self.fail(f"{value!r} is not a platform; use a value such as linux/arm64 or linux/arm/v7", param, ctx)
        return Platform(*parts)


_OPTIONS = (
    setting(
        "--registry/--no-registry",
        "registry",
        default=True,
        help="Whether to look up the worker's command in the registry if the manifest has none.",
    ),
    setting(
        "--image-commands",
        type=EXISTING_FILE,
        help="Table of images and their commands (TOML); has priority over registries.",
    ),
    setting(
        "--image-platform",
        type=PlatformType(),
        default="linux/amd64",
        help="Platform to look up images for if the pod does not select one.",
    ),
    setting(
        "--registry-host",
        "registry_hosts",
        multiple=True,
        metavar="PATTERN",
        help="Allowed registry host, such as ghcr.io or *.example.com:5000; can be repeated.  [default: any]",
    ),
    setting(
        "--registry-plain-http",
        multiple=True,
        metavar="HOST[:PORT]",
        help="Registry to contact without TLS; can be repeated.",
    ),
    setting(
        "--registry-local",
        multiple=True,
        metavar="HOST[:PORT]",
        help="Registry that may have a loopback or link-local address; can be repeated.",
    ),
    setting("--registry-ca", type=EXISTING_FILE, help="Additional CA certificates to trust for registries (PEM)."),
    setting(
        "--registry-credentials",
        type=EXISTING_FILE,
        help="Registry credentials, used for all pods, in the format that `docker login` writes.",
    ),
)


def _read_settings(
    *,
    registry: bool,
    image_commands: Path | None,
    image_platform: Platform,
    registry_hosts: tuple[str, ...],
    registry_plain_http: tuple[str, ...],
    registry_local: tuple[str, ...],
    registry_ca: Path | None,
    registry_credentials: Path | None,
    pull_secrets: bool = False,
) -> ImageSettings:
    """Read the files named by the options; exit if one cannot be read."""
    try:
        table = read_table(image_commands) if image_commands else CommandTable()
    except InvalidTable as invalid:
        fail(str(invalid))
    if not registry:
        if pull_secrets:
            fail("--pull-secrets and --no-registry exclude each other: remove one of them")
        return ImageSettings(table)
    _check_files(registry_ca, registry_credentials)
    lookup = LookupOptions(
        hosts=registry_hosts,
        plain_http=registry_plain_http,
        local_hosts=registry_local,
        ca_file=registry_ca,
        platform=image_platform,
        credentials_file=registry_credentials,
    )
    return ImageSettings(table, lookup, pull_secrets)


def _check_files(ca_file: Path | None, credentials_file: Path | None) -> None:
    """Report unusable files at startup, not at the first pod that needs them."""
    try:
        if ca_file:
            ssl.create_default_context().load_verify_locations(ca_file)
    except OSError:
        fail(f"{ca_file}: no PEM-encoded CA certificates, which --registry-ca requires")
    try:
        if credentials_file and not parse_docker_config(credentials_file.read_bytes()):
            fail(f"{credentials_file}: no credentials in the format that `docker login` writes")
    except OSError as error:
        fail(f"{credentials_file}: {error.strerror}")


def image_settings(command: Command) -> Command:
    """Add the options for image lookups, passed to the command as `images`."""
    names = set(signature(_read_settings).parameters)

    @wraps(command)
    def with_images(**values: Any) -> Any:
        images = _read_settings(**{name: values.pop(name) for name in names & values.keys()})
        return command(images=images, **values)

    return cast("Command", with_options(with_images, _OPTIONS))
