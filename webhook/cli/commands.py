"""The command line itself: its commands, options and exit codes."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from certs.terms import Terms
from webhook import __version__
from webhook.cli.certificates import certs
from webhook.cli.explanation import difference, explain
from webhook.cli.failure import fail
from webhook.cli.manifests import Manifest, Unreadable, read_manifest
from webhook.cli.status import status
from webhook.core.annotations import LONGEST_DURATION, duration
from webhook.core.decision import Policy
from webhook.core.injection import Injection, inject
from webhook.core.pod import Malformed
from webhook.core.reasons import Kind
from webhook.core.refusal import Refused
from webhook.core.restoring import restore
from webhook.server.options import DRAIN_SECONDS, Cluster, Files, Limits, ServerOptions

ENVIRONMENT_PREFIX = "GRACEFUL_WORKER_"
Command = TypeVar("Command", bound=Callable[..., Any])


class Duration(click.ParamType[int]):
    """A duration of at least a second, such as 3600 or 1h30m; its value is in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the duration."""
        try:
            seconds = value if isinstance(value, int) else duration(value)
        except ValueError:
            seconds = 0
        if not 0 < seconds <= LONGEST_DURATION:
            self.fail(f"{value!r} is no duration; write seconds, or for example 90m or 1h30m (30d at most)", param, ctx)
        return seconds


def setting(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    """Make an option that can also be set by an environment variable of its name."""
    variable = ENVIRONMENT_PREFIX + names[-1].lstrip("-").replace("-", "_").upper()
    return click.option(*names, envvar=variable, show_envvar=True, show_default=True, **attributes)


def grace_period_setting(command: Command) -> Command:
    """Add the option for the grace period."""
    return setting(
        "--grace-period",
        type=Duration(),
        default=Policy().grace_period,
        help="The grace period that worker pods get at least, unless their annotation says another.",
    )(command)


files_option = click.option(
    "-f",
    "--filename",
    "filenames",
    multiple=True,
    required=True,
    metavar="FILE",
    help="Manifest to read, YAML or JSON; - is standard input. May be given several times.",
)
only_labelled_option = click.option(
    "--only-labelled",
    is_flag=True,
    help="Leave pods alone that do not bear the label graceful-worker=enabled themselves. Without this, the pods "
    "are taken to be in a labelled namespace.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="graceful-worker")
def main() -> None:
    """Let queue workers on Kubernetes finish their message before their pod ends.

    As a webhook (serve), pods labelled graceful-worker=enabled are patched as they are created. On manifests (inject,
    uninject, diff, explain), the same is done to files, for people who keep the result in Git.
    Of a cluster, status says whether protection works there.

    \b
      graceful-worker status                       whether it works, and if not, what to do
      graceful-worker explain  -f deploy.yaml      what would be done, and why
      graceful-worker inject   -f deploy.yaml | kubectl apply -f -
    """  # noqa: D301 - by this character click keeps the lines


@main.command("inject")
@files_option
@only_labelled_option
@grace_period_setting
def inject_command(filenames: tuple[str, ...], only_labelled: bool, grace_period: int) -> None:
    """Write manifests with their workers protected to standard output.

    Comments and order stay. Where one pod is refused, nothing is written, and the exit code is 1.
    """
    manifests = _read(filenames)
    _inject_all(manifests, Policy(grace_period, only_labelled))
    _write(manifests)


@main.command("uninject")
@files_option
def uninject_command(filenames: tuple[str, ...]) -> None:
    """Write injected manifests as they were before to standard output."""
    manifests = _read(filenames)
    for manifest in manifests:
        for template in list(manifest.templates):
            try:
                operations = restore(template.pod)
            except Refused as refused:
                fail(f"{manifest.path}, {template.title}: {refused.finding}")
            except Malformed as malformed:
                fail(f"{manifest.path}, {template.title}: {malformed}")
            manifest.text.apply(template.document, template.absolute(operations))
    _write(manifests)


@main.command("diff")
@files_option
@only_labelled_option
@grace_period_setting
def diff_command(filenames: tuple[str, ...], only_labelled: bool, grace_period: int) -> None:
    """Show what inject would change; the exit code is 0 for nothing, 1 for something, 2 for an error."""
    manifests = _read(filenames, exit_code=2)
    before = [manifest.text.text for manifest in manifests]
    _inject_all(manifests, Policy(grace_period, only_labelled), exit_code=2)
    differences = [
        difference(manifest.path, text, manifest.text.text) for manifest, text in zip(manifests, before, strict=True)
    ]
    click.echo("".join(differences), nl=False)
    sys.exit(1 if any(differences) else 0)


@main.command("explain")
@files_option
@only_labelled_option
@grace_period_setting
def explain_command(filenames: tuple[str, ...], only_labelled: bool, grace_period: int) -> None:
    """Say, container by container, what would be done and why, or why nothing would be.

    The exit code is 1 where a pod would be refused.
    """
    policy = Policy(grace_period, only_labelled)
    refused = False
    for manifest in _read(filenames):
        templates = list(manifest.templates)
        if not templates:
            click.echo(f"{manifest.path}: no pod and no pod template in it.")
        for template in templates:
            injection = inject(template.pod, policy)
            click.echo("\n".join(explain(manifest.path, template, injection)))
            refused = refused or injection.decision.outcome is Kind.REFUSED
    sys.exit(1 if refused else 0)


main.add_command(certs)
main.add_command(status)


@main.command("serve")
@setting("--host", default="0.0.0.0", help="Address to listen on.")  # noqa: S104 - a pod has to
@setting("--port", type=click.IntRange(0, 65535), default=8443, help="Port to listen on.")
@setting("--tls-cert", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Certificate chain, PEM.")
@setting("--tls-key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its key, PEM.")
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
@grace_period_setting
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
    grace_period: int,
    body_limit: int,
    drain: float,
    log_level: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    **cluster: Any,
) -> None:
    """Serve the webhook over HTTPS: POST /mutate, and /healthz, /readyz, /metrics.

    The certificate is that of --tls-cert and --tls-key, which is read anew when it changes; without these, the webhook
    keeps a CA of its own in the cluster.
    """
    from certs.authority import Unusable  # noqa: PLC0415 - only serving needs these, and they cost half a second
    from webhook.server.serving import serve  # noqa: PLC0415

    tls = _tls(tls_cert, tls_key, **cluster)
    options = ServerOptions(host, port, tls, Limits(body_bytes=body_limit), drain_seconds=drain, log_level=log_level)
    try:
        serve(Policy(grace_period), options)
    except Unusable as unusable:
        fail(str(unusable))


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


def _read(filenames: Iterable[str], exit_code: int = 1) -> list[Manifest]:
    try:
        return [read_manifest(filename) for filename in filenames]
    except Unreadable as unreadable:
        fail(str(unreadable), exit_code)


def _inject_all(manifests: Iterable[Manifest], policy: Policy, exit_code: int = 1) -> None:
    """Inject into all templates, and tell about those that are refused, left alone, or deserve a warning."""
    refusals: list[str] = []
    for manifest in manifests:
        for template in list(manifest.templates):
            injection = inject(template.pod, policy)
            place = f"{manifest.path}, {template.title}"
            if injection.refusal:
                refusals.append(f"{place}: {injection.decision.verdict} [{injection.decision.reason.value}]")
                continue
            _tell(place, injection)
            manifest.text.apply(template.document, template.absolute(injection.patch))
    if refusals:
        fail("\n".join(refusals), exit_code)


def _tell(place: str, injection: Injection) -> None:
    decision = injection.decision
    if decision.outcome is Kind.LEFT_ALONE:
        click.echo(f"{place}: left alone: {decision.verdict} [{decision.reason.value}]", err=True)
    for finding in decision.findings:
        if finding.reason.kind is Kind.WARNING:
            click.echo(f"{place}: warning: {finding} [{finding.reason.value}]", err=True)


def _write(manifests: Iterable[Manifest]) -> None:
    for position, manifest in enumerate(manifests):
        text = manifest.text.text
        if position and not text.startswith("---"):
            click.echo("---")
        click.echo(text, nl=not text.endswith("\n"))
