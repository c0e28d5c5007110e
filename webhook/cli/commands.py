"""The command line itself: its commands, options and exit codes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from webhook import __version__
from webhook.cli.explanation import difference, explain
from webhook.cli.manifests import Manifest, Unreadable, read_manifest
from webhook.core.annotations import LONGEST_DURATION, duration
from webhook.core.decision import Policy
from webhook.core.injection import Injection, inject
from webhook.core.pod import Malformed
from webhook.core.reasons import Kind
from webhook.core.refusal import Refused
from webhook.core.restoring import restore
from webhook.server.options import DRAIN_SECONDS, Limits, ServerOptions

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
    r"""Let queue workers on Kubernetes finish their message before their pod ends.

    As a webhook (serve), pods labelled graceful-worker=enabled are patched as they are created. On manifests (inject,
    uninject, diff, explain), the same is done to files, for people who keep the result in Git.

    \b
      graceful-worker explain  -f deploy.yaml      what would be done, and why
      graceful-worker inject   -f deploy.yaml | kubectl apply -f -
    """


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
                _fail(f"{manifest.path}, {template.title}: {refused.finding}")
            except Malformed as malformed:
                _fail(f"{manifest.path}, {template.title}: {malformed}")
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


@main.command("certs")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="DNS name or IP address of the server; may be given several times.  [default: this machine]",
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def certs_command(hosts: tuple[str, ...], folder: Path) -> None:
    """Write a throw-away CA and server certificate, valid for a week, to FOLDER: ca.crt, tls.crt, tls.key."""
    from certs.throwaway import LOCAL_HOSTS, issue  # noqa: PLC0415 - manifests need no cryptography

    try:
        issue(hosts or LOCAL_HOSTS).write(folder)
    except (ValueError, OSError) as error:
        _fail(str(error))
    click.echo(f"{folder / 'ca.crt'}\n{folder / 'tls.crt'}\n{folder / 'tls.key'}")


@main.command("serve")
@setting("--host", default="0.0.0.0", help="Address to listen on.")  # noqa: S104 - a pod has to
@setting("--port", type=click.IntRange(0, 65535), default=8443, help="Port to listen on.")
@setting("--tls-cert", required=True, type=click.Path(exists=True, dir_okay=False), help="Certificate chain, PEM.")
@setting("--tls-key", required=True, type=click.Path(exists=True, dir_okay=False), help="The certificate's key, PEM.")
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
    host: str, port: int, tls_cert: str, tls_key: str, grace_period: int, body_limit: int, drain: float, log_level: str
) -> None:
    """Serve the webhook over HTTPS: POST /mutate, and /healthz, /readyz, /metrics."""
    import ssl  # noqa: PLC0415 - only serving needs these, and they cost half a second

    from webhook.server.serving import serve  # noqa: PLC0415

    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(tls_cert, tls_key)
    except (ssl.SSLError, OSError) as error:
        _fail(f"the certificate {tls_cert} and the key {tls_key} cannot be used: {error}")
    options = ServerOptions(
        host, port, tls_cert, tls_key, Limits(body_bytes=body_limit), drain_seconds=drain, log_level=log_level
    )
    serve(Policy(grace_period), options)


def _read(filenames: Iterable[str], exit_code: int = 1) -> list[Manifest]:
    try:
        return [read_manifest(filename) for filename in filenames]
    except Unreadable as unreadable:
        _fail(str(unreadable), exit_code)


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
        _fail("\n".join(refusals), exit_code)


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


def _fail(message: str, exit_code: int = 1) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(exit_code)
