"""What the workflow of a release calls: notes, chart, manifests."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from deploy.release.chart import package_chart
from deploy.release.image import Image
from deploy.release.manifests import write_manifests
from deploy.release.versions import Unfit, check_versions, release_notes, version_of_tag

_Function = TypeVar("_Function", bound=Callable[..., None])


def _image_options(function: _Function) -> _Function:
    function = click.option("--repository", required=True, help="Where the image is, as in ghcr.io/owner/name.")(
        function
    )
    function = click.option("--digest", required=True, help="Its digest, sha256:….")(function)
    return click.option("--output", type=click.Path(path_type=Path), default="dist", help="The folder to write to.")(
        function
    )


@click.group()
@click.option("--root", type=click.Path(path_type=Path, exists=True), default=".", help="The checkout.")
@click.pass_context
def main(context: click.Context, root: Path) -> None:
    """Make what a release publishes. TAG is as v1.2.3, and every version in the checkout must be that one."""
    context.obj = root


@main.command()
@click.argument("tag")
@click.pass_obj
def notes(root: Path, tag: str) -> None:
    """Print the release notes: the version's section of the changelog."""
    version = _checked_version(root, tag)
    click.echo(_made(lambda: release_notes((root / "CHANGELOG.md").read_text(), version)), nl=False)


@main.command()
@click.argument("tag")
@_image_options
@click.option("--helm", default="helm", help="The program.")
@click.pass_obj
def chart(root: Path, tag: str, repository: str, digest: str, output: Path, helm: str) -> None:
    """Package the chart with the published image; print its file."""
    _checked_version(root, tag)
    click.echo(_made(lambda: package_chart(root, Image(repository, digest), output, helm)))


@main.command()
@click.argument("tag")
@_image_options
@click.pass_obj
def manifests(root: Path, tag: str, repository: str, digest: str, output: Path) -> None:
    """Write the installation by kustomize with the published image; print its files."""
    version = _checked_version(root, tag)
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    for file in _made(lambda: write_manifests(root, Image(repository, digest), version, output, epoch)):
        click.echo(file)


_Made = TypeVar("_Made")


def _made(make: Callable[[], _Made]) -> _Made:
    try:
        return make()
    except Unfit as unfit:
        raise click.ClickException(str(unfit)) from None


def _checked_version(root: Path, tag: str) -> str:
    def check() -> str:
        version = version_of_tag(tag)
        check_versions(root, version)
        return version

    return _made(check)


if __name__ == "__main__":
    main(prog_name="python -m deploy.release")
