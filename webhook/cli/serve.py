"""`graceful-worker serve`: serves the webhook."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from certs.rotation_settings import RotationSettings
from webhook.cli.failure import fail
from webhook.cli.image_settings import image_settings
from webhook.cli.settings import EXISTING_FILE, Duration, policy_settings, setting
from webhook.core.policy import Policy
from webhook.images.sources import ImageSettings
from webhook.server.listener import ANY_ADDRESS
from webhook.server.options import DRAIN_SECONDS, Cluster, Files, Limits, ServerOptions


@click.command("serve")
@setting("--host", default=ANY_ADDRESS, help="Address to listen on; :: is every IPv6 and IPv4 address.")
@setting("--port", type=click.IntRange(0, 65535), default=8443, help="Port to listen on.")
@setting("--tls-cert", type=EXISTING_FILE, help="Certificate chain (PEM).")
@setting("--tls-key", type=EXISTING_FILE, help="Private key of the certificate (PEM).")
@setting(
    "--client-ca",
    type=EXISTING_FILE,
    help="CA of the client certificates with which API servers authenticate (PEM); requires --tls-cert.",
)
@setting(
    "--client-name",
    "client_names",
    multiple=True,
    metavar="NAME",
    help="Common name accepted in such a client certificate; can be repeated.  [default: any]",
)
@setting("--namespace", help="Namespace of the webhook. Without --tls-cert, it keeps its own CA in a Secret there.")
@setting("--service", default="graceful-worker", help="Service that the API server calls.")
@setting("--ca-secret", default="graceful-worker-ca", help="Secret that stores the CA.")
@setting("--configuration", default="graceful-worker", help="MutatingWebhookConfiguration whose caBundle to manage.")
@setting("--cluster-domain", default="cluster.local", help="DNS domain of the cluster's Services.")
@setting(
    "--extra-host",
    "extra_hosts",
    multiple=True,
    help="Additional DNS name or IP address for the certificate, for a configuration with a url.",
)
@setting("--ca-days", type=click.IntRange(1, 3650), default=365, help="Validity of a CA in days.")
@setting("--certificate-validity", type=Duration(), default="24h", help="Validity of a certificate.")
@setting(
    "--propagation",
    type=Duration(),
    default="5s",
    help="Longest time until all API servers use a changed caBundle.",
)
@policy_settings
@image_settings
@setting(
    "--pull-secrets",
    is_flag=True,
    help="Look up images with the pods' own imagePullSecrets; needs permission to read them.",
)
@setting(
    "--eviction-guard/--no-eviction-guard",
    "eviction_guard",
    default=True,
    help="Keep the grace period of evicted worker pods; needs permission to get pods and nodes.",
)
@setting(
    "--eviction-limit",
    type=Duration(),
    default="24h",
    help="Longest grace period that the eviction guard keeps.",
)
@setting(
    "--body-limit",
    type=click.IntRange(min=1024),
    default=Limits().body_bytes,
    help="Largest request body, in bytes.",
)
@setting(
    "--drain",
    type=click.FloatRange(0, 600),
    default=DRAIN_SECONDS,
    help="How long to keep serving after SIGTERM, in seconds.",
)
@setting("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="Log level.")
def serve_command(
    host: str,
    port: int,
    body_limit: int,
    drain: float,
    log_level: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    client_ca: Path | None,
    client_names: tuple[str, ...],
    policy: Policy,
    images: ImageSettings,
    eviction_guard: bool,
    eviction_limit: int,
    **cluster: Any,
) -> None:
    """Serve the webhook over HTTPS: POST /mutate, and /healthz, /readyz, /metrics.

    With --tls-cert and --tls-key, the certificate comes from these files and is reloaded when they change. Without
    them, the webhook manages its own CA in the cluster.
    """
    from certs.errors import Unusable  # noqa: PLC0415 - only serving needs these, and they take half a second
    from webhook.server.https_server import serve  # noqa: PLC0415

    tls = _tls(tls_cert, tls_key, **cluster)
    if client_ca or client_names:
        tls = _with_clients(tls, client_ca, client_names)
    images = _images_for(tls, images)
    if images.pull_secrets:
        _check_cluster()
    options = ServerOptions(
        host,
        port,
        tls,
        Limits(body_bytes=body_limit),
        drain_seconds=drain,
        log_level=log_level,
        images=images,
        eviction_limit=eviction_limit,
        guard_off_reason=_guard_off_reason(tls, is_wanted=eviction_guard),
    )
    try:
        serve(policy, options)
    except Unusable as unusable:
        fail(str(unusable))


def _check_cluster() -> None:
    """Fail at startup; otherwise, each pod would seem to have no credentials."""
    from lightkube import ConfigError, KubeConfig  # noqa: PLC0415 - as above

    try:
        KubeConfig.from_env()
    except ConfigError as error:
        fail(
            f"--pull-secrets needs access to the cluster, but no ServiceAccount token is mounted, and {error}; "
            "mount the token (automountServiceAccountToken), set KUBECONFIG, or remove --pull-secrets"
        )


def _with_clients(tls: Files | Cluster, client_ca: Path | None, client_names: tuple[str, ...]) -> Files:
    if isinstance(tls, Cluster):
        fail("--client-ca requires --tls-cert: with a CA in the cluster, the API server is authenticated by the path")
    if not client_ca:
        fail("--client-name requires --client-ca, whose certificates it restricts")
    return replace(tls, client_ca=client_ca, client_names=client_names)


def _images_for(tls: Files | Cluster, images: ImageSettings) -> ImageSettings:
    """Turn off registry lookups if callers cannot authenticate as the API server, unless they are asked for."""
    if images.lookup is None or isinstance(tls, Cluster) or tls.client_ca:
        return images
    if images.pull_secrets or images.lookup.credentials_file:
        fail(
            "--pull-secrets and --registry-credentials would serve every client that reaches the port: set --client-ca "
            "so that the API server authenticates, or remove --tls-cert to use a CA in the cluster"
        )
    return images if _is_given("registry") else replace(images, lookup=None)


def _guard_off_reason(tls: Files | Cluster, *, is_wanted: bool) -> str:
    """Return why evictions are not guarded: as asked, or because any client could ask about any pod; else empty."""
    if not is_wanted:
        return "--no-eviction-guard"
    if isinstance(tls, Cluster) or tls.client_ca or _is_given("eviction_guard"):
        return ""
    return "callers cannot authenticate as the API server; set --client-ca, or --eviction-guard to trust every client"


def _is_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is not ParameterSource.DEFAULT


def _tls(
    tls_cert: Path | None,
    tls_key: Path | None,
    namespace: str | None,
    service: str,
    ca_secret: str,
    configuration: str,
    cluster_domain: str,
    extra_hosts: tuple[str, ...],
    ca_days: int,
    certificate_validity: int,
    propagation: int,
) -> Files | Cluster:
    if tls_cert and tls_key:
        return Files(tls_cert, tls_key)
    if tls_cert or tls_key:
        fail("--tls-cert and --tls-key need each other: set both, or neither to use a CA in the cluster")
    if not namespace:
        fail("set --tls-cert and --tls-key, or --namespace to use a CA in the cluster")
    settings = RotationSettings(
        datetime.timedelta(days=ca_days), datetime.timedelta(seconds=certificate_validity), float(propagation)
    )
    return Cluster(namespace, service, ca_secret, configuration, cluster_domain, extra_hosts, settings)
