"""The command that serves the webhook."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from certs.terms import Terms
from webhook.cli.failure import fail
from webhook.cli.image_settings import image_settings
from webhook.cli.settings import Duration, policy_settings, setting
from webhook.core.decision import Policy
from webhook.images.sources import ImageSettings
from webhook.server.addresses import ANY_ADDRESS
from webhook.server.options import DRAIN_SECONDS, Cluster, Files, Limits, ServerOptions


@click.command("serve")
@setting("--host", default=ANY_ADDRESS, help="Address to listen on; ::, the default, is every one of IPv6 and IPv4.")
@setting("--port", type=click.IntRange(0, 65535), default=8443, help="Port to listen on.")
@setting("--tls-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificate chain, PEM.")
@setting("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its key, PEM.")
@setting(
    "--client-ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CA of the certificates by which API servers prove themselves, PEM; with --tls-cert.",
)
@setting(
    "--client-name",
    "client_names",
    multiple=True,
    metavar="NAME",
    help="Common name of such a certificate; may be given several times.  [default: any of that CA]",
)
@setting("--namespace", help="Namespace of the webhook; without --tls-cert it keeps a CA of its own there.")
@setting("--service", default="graceful-worker", help="Service by which the API server calls.")
@setting("--ca-secret", default="graceful-worker-ca", help="Secret that keeps the CA.")
@setting("--configuration", default="graceful-worker", help="MutatingWebhookConfiguration to keep the CA bundle of.")
@setting("--cluster-domain", default="cluster.local", help="Domain of the cluster's Services.")
@setting(
    "--extra-host",
    "extra_hosts",
    multiple=True,
    help="DNS name or IP address to have in the certificate, too: for a configuration that calls by url.",
)
@setting("--ca-days", type=click.IntRange(1, 3650), default=365, help="Days that a CA is valid.")
@setting("--certificate-validity", type=Duration(), default="24h", help="How long a certificate is valid.")
@setting(
    "--propagation",
    type=Duration(),
    default="5s",
    help="How long API servers take to learn of a changed bundle, at most.",
)
@policy_settings
@image_settings
@setting(
    "--pull-secrets",
    is_flag=True,
    help="Ask registries with the pods' own imagePullSecrets; needs the right to read these.",
)
@setting(
    "--eviction-guard/--no-eviction-guard",
    "eviction_guard",
    default=True,
    help="Let protected pods keep their grace period when they are evicted; needs the right to get pods and nodes.",
)
@setting(
    "--eviction-limit",
    type=Duration(),
    default="24h",
    help="How much of a grace period is kept so at most.",
)
@setting(
    "--body-limit",
    type=click.IntRange(min=1024),
    default=Limits().body_bytes,
    help="Bytes of the largest request body.",
)
@setting(
    "--drain", type=click.FloatRange(0, 600), default=DRAIN_SECONDS, help="Seconds to go on serving after SIGTERM."
)
@setting(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", help="What is logged."
)
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

    The certificate is that of --tls-cert and --tls-key, which is read anew when it changes; without these, the webhook
    keeps a CA of its own in the cluster.
    """
    from certs.authority import Unusable  # noqa: PLC0415 - only serving needs these, and they cost half a second
    from webhook.server.serving import serve  # noqa: PLC0415

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
        guard_off_because=_guard_off_because(tls, is_wanted=eviction_guard),
    )
    try:
        serve(policy, options)
    except Unusable as unusable:
        fail(str(unusable))


def _check_cluster() -> None:
    """Say now what would otherwise look like pods without credentials, one by one."""
    from lightkube import ConfigError, KubeConfig  # noqa: PLC0415 - as above

    try:
        KubeConfig.from_env()
    except ConfigError as error:
        fail(
            f"--pull-secrets reads Secrets of the cluster, but no ServiceAccount's token is mounted here, and {error}; "
            "mount the token (automountServiceAccountToken), set KUBECONFIG, or leave --pull-secrets out"
        )


def _with_clients(tls: Files | Cluster, client_ca: Path | None, client_names: tuple[str, ...]) -> Files:
    if isinstance(tls, Cluster):
        fail(
            "--client-ca goes with --tls-cert: with a CA kept in the cluster, the API server is known by the path that "
            "it calls"
        )
    if not client_ca:
        fail("--client-name says which certificates of --client-ca are an API server's: give that, too")
    return replace(tls, client_ca=client_ca, client_names=client_names)


def _images_for(tls: Files | Cluster, images: ImageSettings) -> ImageSettings:
    """Leave registries alone where no caller can prove to be the API server, unless somebody asks for that."""
    if images.lookup is None or isinstance(tls, Cluster) or tls.client_ca:
        return images
    if images.pull_secrets or images.lookup.credentials_file:
        fail(
            "--pull-secrets and --registry-credentials would serve whoever reaches the port: give --client-ca, by "
            "which the API server proves itself, or leave --tls-cert out to have a CA kept in the cluster"
        )
    return images if _is_given("registry") else replace(images, lookup=None)


def _guard_off_because(tls: Files | Cluster, *, is_wanted: bool) -> str:
    """Say why evictions are not guarded: as asked, or as anybody could ask for any pod, unless somebody wants that."""
    if not is_wanted:
        return "--no-eviction-guard"
    if isinstance(tls, Cluster) or tls.client_ca or _is_given("eviction_guard"):
        return ""
    return "no caller can prove to be the API server; give --client-ca, or --eviction-guard to answer everybody"


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
        fail("--tls-cert and --tls-key belong together: give both, or neither to have a CA kept in the cluster")
    if not namespace:
        fail("give --tls-cert and --tls-key, or --namespace to have a CA kept in the cluster")
    terms = Terms(
        datetime.timedelta(days=ca_days), datetime.timedelta(seconds=certificate_validity), float(propagation)
    )
    return Cluster(namespace, service, ca_secret, configuration, cluster_domain, extra_hosts, terms)
