"""The chart of a release: as in the repository, but its default image is the published one, by digest."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.release.image import Image
from deploy.release.versions import CHART, Unfit
from webhook.yaml_patch import YamlStream


def package_chart(root: Path, image: Image, output: Path, helm: str) -> Path:
    """Write the packaged chart into a folder, and return its file.

    Raises:
        Unfit: the chart has no values for an image, or Helm refuses it.

    """
    with TemporaryDirectory() as room:
        chart = Path(room, Path(CHART).name)
        shutil.copytree(root / CHART, chart)
        _name_image(chart / "values.yaml", image)
        packages = Path(room, "packages")
        result = subprocess.run(  # noqa: S603 - our own arguments
            [helm, "package", str(chart), "--destination", str(packages)], text=True, capture_output=True, check=False
        )
        if result.returncode:
            raise Unfit(f"helm package: {result.stderr.strip()}")
        (package,) = packages.iterdir()
        output.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(package, output))


def _name_image(values: Path, image: Image) -> None:
    text = YamlStream(values.read_text())
    (content,) = text.documents
    defaults = content.get("image")
    if not isinstance(defaults, dict) or not {"repository", "digest"} <= defaults.keys():
        raise Unfit(f"{CHART}/values.yaml has no image.repository and image.digest to write the published image into")
    new = {"repository": image.repository, "digest": image.digest}
    text.apply(0, [{"op": "replace", "path": f"/image/{field}", "value": value} for field, value in new.items()])
    values.write_text(text.text)
