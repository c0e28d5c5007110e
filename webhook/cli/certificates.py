"""`graceful-worker certs`: issues, shows and checks certificates, if you manage your own."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from webhook.cli.failure import fail
from webhook.cli.settings import EXISTING_FILE


@click.group("certs")
def certs() -> None:
    """Issue, show and check certificates, if you manage your own."""


@certs.command("issue")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="DNS name or IP address of the server; can be repeated.  [default: this machine]",
)
@click.option("--days", type=click.IntRange(1, 3650), default=7, show_default=True, help="Validity in days.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def issue_command(hosts: tuple[str, ...], days: int, folder: Path) -> None:
    """Write a server certificate and its CA to FOLDER: ca.crt, tls.crt, tls.key. The CA's key is discarded."""
    from certs.authority import LOCAL_HOSTS, issue_certificate  # noqa: PLC0415 - manifests need no cryptography

    try:
        issue_certificate(hosts or LOCAL_HOSTS, validity=datetime.timedelta(days=days)).write(folder)
    except (ValueError, OSError) as error:
        fail(str(error))
    click.echo(f"{folder / 'ca.crt'}\n{folder / 'tls.crt'}\n{folder / 'tls.key'}")


@certs.command("show")
@click.argument("file", type=EXISTING_FILE)
def show_command(file: Path) -> None:
    """Show the certificates in FILE: names, issuer, validity."""
    from certs.certificate import UNREADABLE, describe_certificates  # noqa: PLC0415

    try:
        click.echo("\n".join(describe_certificates(file.read_bytes())))
    except UNREADABLE as error:
        fail(f"{file} contains no certificate: {error}")


@certs.command("check")
@click.option("--cert", required=True, type=EXISTING_FILE, help="Certificate chain (PEM).")
@click.option("--key", required=True, type=EXISTING_FILE, help="Private key of the certificate (PEM).")
@click.option("--ca", required=True, type=EXISTING_FILE, help="CAs that the API server trusts: the caBundle (PEM).")
@click.option("--host", required=True, help="Host name that the API server connects to: SERVICE.NAMESPACE.svc")
def check_command(cert: Path, key: Path, ca: Path, host: str) -> None:
    """Check whether the API server would accept a certificate; if not, exit with code 1."""
    from certs.certificate import read_bundle, rejection_reason  # noqa: PLC0415
    from certs.clock import wall_clock  # noqa: PLC0415
    from certs.errors import Unusable  # noqa: PLC0415
    from certs.files import read_leaf  # noqa: PLC0415
    from certs.served_certificate import ServedCertificate  # noqa: PLC0415

    try:
        leaf = read_leaf(cert, key)
        bundle = read_bundle(ca.read_bytes())
        ServedCertificate(leaf).exchange(leaf, bundle, host)
    except Unusable as unusable:
        fail(str(unusable))
    if reason := rejection_reason(leaf, bundle, host, wall_clock()):
        fail(f"the API server would reject certificate {cert}: {reason}")
    click.echo(f"The API server accepts the certificate for {host} until {leaf.ends:%Y-%m-%d %H:%M} UTC.")
