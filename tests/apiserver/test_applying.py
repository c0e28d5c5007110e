"""The manifests as kubectl applies them, on either side in turn: what the API server would add is in them already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver.control_plane import ControlPlane, control_plane, missing
from tests.apiserver.installation import apply, kubectl_missing
from tests.deploy.rendered import CUSTOM, OVERLAYS, installed

pytestmark = [
    pytest.mark.skipif(bool(missing()), reason=missing()),
    pytest.mark.skipif(bool(kubectl_missing()), reason=kubectl_missing()),
    pytest.mark.xdist_group("apiserver"),
]

FOLDERS = [".", *(f"overlays/{name}" for name in OVERLAYS)]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with control_plane(tmp_path_factory.mktemp("applying")) as plane:
        yield plane


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_server_side_apply_takes_over_without_a_conflict_and_back(
    plane: ControlPlane, tmp_path: Path, folder: str
) -> None:
    if any(
        each["apiVersion"] in CUSTOM for each in installed(folder.removeprefix("overlays/").replace(".", "default"))
    ):
        pytest.skip("this API server does not have the overlay's own kinds")
    for options in ((), ("--server-side",), ()):
        apply(plane, tmp_path, folder, *options)
