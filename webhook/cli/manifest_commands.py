"""The commands for manifests: inject, uninject, diff, explain."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Iterable, Sequence
from functools import partial

import click

from webhook.cli.explanation import explain, unified_diff
from webhook.cli.failure import fail
from webhook.cli.image_settings import image_settings
from webhook.cli.manifests import LOOKED_FOR, Manifest, Template, Unreadable, read_manifest
from webhook.cli.settings import policy_settings
from webhook.core.errors import Malformed, Refused
from webhook.core.image_config import Image, Unavailable
from webhook.core.injection import Injection, inject
from webhook.core.pod import JsonObject, read_pod
from webhook.core.policy import Policy
from webhook.core.reasons import Kind
from webhook.core.uninject import restore
from webhook.images.options import LookupOptions
from webhook.images.sources import ImageSettings, ImageSource, ImageSources

REGISTRY_SECONDS = 30.0
"""Timeout for registries: only the user is waiting."""

files_option = click.option(
    "-f",
    "--filename",
    "filenames",
    multiple=True,
    required=True,
    metavar="FILE",
    # For shell completion; the file is checked where it is read.
    type=click.Path(allow_dash=True),
    help="Manifest to read (YAML or JSON); - is standard input. Can be repeated.",
)
only_labelled_option = click.option(
    "--only-labelled",
    is_flag=True,
    help="Process only pods that have the label graceful-worker=enabled themselves. Without this option, the namespace "
    "counts as labelled.",
)


@click.command("inject")
@files_option
@only_labelled_option
@policy_settings
@image_settings
def inject_command(filenames: tuple[str, ...], policy: Policy, images: ImageSettings) -> None:
    """Write the manifests to standard output, with their workers protected.

    Comments and order are preserved. If a pod is refused, nothing is written and the exit code is 1.
    """
    manifests = _read_manifests(filenames)
    _inject_all(manifests, policy, images)
    _write_manifests(manifests)


@click.command("uninject")
@files_option
def uninject_command(filenames: tuple[str, ...]) -> None:
    """Write injected manifests to standard output as they were before the injection."""
    manifests = _read_manifests(filenames)
    for manifest in manifests:
        for template in list(manifest.templates):
            try:
                operations = restore(template.pod)
            except Refused as refused:
                fail(f"{manifest.path}, {template.title}: {refused.finding}")
            except Malformed as malformed:
                fail(f"{manifest.path}, {template.title}: {malformed}")
            manifest.text.apply(template.document, template.absolute(operations))
    _write_manifests(manifests)


@click.command("diff")
@files_option
@only_labelled_option
@policy_settings
@image_settings
def diff_command(filenames: tuple[str, ...], policy: Policy, images: ImageSettings) -> None:
    """Show what inject would change. The exit code is 0 for no change, 1 for changes, 2 for an error."""
    manifests = _read_manifests(filenames, exit_code=2)
    before = [manifest.text.text for manifest in manifests]
    _inject_all(manifests, policy, images, exit_code=2)
    differences = [
        unified_diff(manifest.path, text, manifest.text.text) for manifest, text in zip(manifests, before, strict=True)
    ]
    click.echo("".join(differences), nl=False)
    sys.exit(1 if any(differences) else 0)


@click.command("explain")
@files_option
@only_labelled_option
@policy_settings
@image_settings
def explain_command(filenames: tuple[str, ...], policy: Policy, images: ImageSettings) -> None:
    """Explain, container by container, what inject would change and why, or why it changes nothing.

    The exit code is 1 if a pod would be refused.
    """
    refused = False
    for manifest in _read_manifests(filenames):
        for unknown in manifest.unknown:
            click.echo(f"{manifest.path}, {unknown.title}\n  contains no known pod template; looked for {LOOKED_FOR}")
        decisions = _decide_all(manifest, policy, images)
        if not decisions:
            click.echo(f"{manifest.path}: contains no pod and no pod template.")
        for template, injection in decisions:
            click.echo("\n".join(explain(manifest.path, template, injection)))
            refused = refused or injection.decision.outcome is Kind.REFUSED
    sys.exit(1 if refused else 0)


def _read_manifests(filenames: Iterable[str], exit_code: int = 1) -> list[Manifest]:
    try:
        return [read_manifest(filename) for filename in filenames]
    except Unreadable as unreadable:
        fail(str(unreadable), exit_code)


def _inject_all(manifests: Iterable[Manifest], policy: Policy, images: ImageSettings, exit_code: int = 1) -> None:
    """Inject into all templates; report refusals, templates left alone, and warnings."""
    refusals: list[str] = []
    for manifest in manifests:
        for unknown in manifest.unknown:
            place = f"{manifest.path}, {unknown.title}"
            click.echo(f"{place}: left unchanged: contains no known pod template; looked for {LOOKED_FOR}", err=True)
        for template, injection in _decide_all(manifest, policy, images):
            place, decision = f"{manifest.path}, {template.title}", injection.decision
            if injection.refusal:
                refusals.append(f"{place}: {decision.verdict} [{decision.reason.value}]")
                continue
            if decision.outcome is Kind.LEFT_ALONE:
                click.echo(f"{place}: left alone: {decision.verdict} [{decision.reason.value}]", err=True)
            for finding in decision.findings:
                if finding.reason.kind is Kind.WARNING:
                    click.echo(f"{place}: warning: {finding} [{finding.reason.value}]", err=True)
            manifest.text.apply(template.document, template.absolute(injection.patch))
    if refusals:
        fail("\n".join(refusals), exit_code)


def _write_manifests(manifests: Iterable[Manifest]) -> None:
    for position, manifest in enumerate(manifests):
        text = manifest.text.text
        if position and not text.startswith("---"):
            click.echo("---")
        click.echo(text, nl=not text.endswith("\n"))


def _decide_all(manifest: Manifest, policy: Policy, settings: ImageSettings) -> list[tuple[Template, Injection]]:
    """Decide on all pods and pod templates; images are looked up with the user's own credentials."""
    templates = list(manifest.templates)
    pods = [template.as_made for template in templates]
    injections = [inject(pod, policy) for pod in pods]
    if any(injection.decision.lookups for injection in injections):
        injections = asyncio.run(_decide_with_images(pods, injections, policy, settings))
    return list(zip(templates, injections, strict=True))


async def _decide_with_images(
    pods: Sequence[JsonObject], injections: Sequence[Injection], policy: Policy, settings: ImageSettings
) -> list[Injection]:
    sources = ImageSources(settings.table, partial(_registry, settings.lookup) if settings.lookup else None)

    async def decide(pod: JsonObject, injection: Injection) -> Injection:
        images: dict[str, Image | Unavailable] = {}
        while ask := injection.decision.lookups:
            images |= await sources.find(read_pod(pod), ask, "", REGISTRY_SECONDS)
            injection = inject(pod, policy, images)
        return injection

    try:
        return await asyncio.gather(*map(decide, pods, injections))
    finally:
        await sources.aclose()


async def _registry(options: LookupOptions) -> ImageSource:
    from webhook.images.docker_config import load_user_keyring  # noqa: PLC0415 - few manifests need a registry
    from webhook.images.lookup import ImageLookup  # noqa: PLC0415

    return ImageLookup(dataclasses.replace(options, local_hosts=("*",)), credentials=load_user_keyring())
