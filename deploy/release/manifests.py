"""The installation by kustomize of a release: base, components and overlays with the published image, by digest."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.release.image import Image
from deploy.release.versions import NAME, Unfit, image_users

PARTS = ("base", "components", "overlays", "kustomization.yaml")


def write_manifests(root: Path, image: Image, version: str, output: Path, epoch: int = 0) -> list[Path]:
    """Write an archive of `deploy/`, and the default installation rendered; return both files.

    Raises:
        Unfit: kubectl cannot render it.

    """
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as room:
        top = Path(room, f"{NAME}-{version}")
        deploy = top / "deploy"
        deploy.mkdir(parents=True)
        for part in PARTS:
            source = root / "deploy" / part
            shutil.copytree(source, deploy / part) if source.is_dir() else shutil.copy(source, deploy / part)
        for file in image_users(top):
            file.write_text(file.read_text().replace(f"image: {NAME}:{version}", f"image: {image}"))
        installation = deploy / "kustomization.yaml"
        # The comment there says how to use your own image.
        installation.write_text(installation.read_text().replace(f"image {NAME}=", f"image {image.repository}="))
        rendered = output / "install.yaml"
        rendered.write_text(_render(deploy))
        archive = output / f"{NAME}-{version}-kustomize.tar.gz"
        _archive(sorted(top.rglob("*")), top.parent, archive, epoch)
    return [archive, rendered]


def _render(folder: Path) -> str:
    command = ["kubectl", "kustomize", str(folder)]
    result = subprocess.run(command, text=True, capture_output=True, check=False)  # noqa: S603 - our own arguments
    if result.returncode:
        raise Unfit(f"kubectl kustomize: {result.stderr.strip()}")
    return result.stdout


def _archive(files: Iterable[Path], top: Path, archive: Path, epoch: int) -> None:
    """Write files below a folder so that the same files make the same archive."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=epoch) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for file in files:
            member = tar.gettarinfo(str(file), str(file.relative_to(top)))
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() else 0o644
            if member.isfile():
                with file.open("rb") as content:
                    tar.addfile(member, content)
            else:
                tar.addfile(member)
