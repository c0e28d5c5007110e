"""Client-side and server-side apply in turn: the manifests have every field that the API server would add."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver.control_plane import ControlPlane, control_plane, missing
from tests.apiserver.installation import apply, kubectl_missing
from tests.deploy.rendered import OVERLAYS, installed

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


def missing_kinds(plane: ControlPlane, installation: str) -> set[str]:
    """Return the kinds that this API server lacks: an operator or a later Kubernetes brings them."""
    absent: set[str] = set()
    for manifest in installed(installation):
        group = manifest["apiVersion"]
        resources = plane.client.get(f"/apis/{group}" if "/" in group else f"/api/{group}")
        known = {each["kind"] for each in resources.json()["resources"]} if resources.is_success else set()
        absent |= {manifest["kind"]} - known
    return absent


@pytest.mark.parametrize("folder", FOLDERS)
def test_switching_to_server_side_apply_and_back_causes_no_conflict(
    plane: ControlPlane, tmp_path: Path, folder: str
) -> None:
    if missing_kinds(plane, folder.removeprefix("overlays/").replace(".", "default")):
        pytest.skip("this API server does not have the overlay's own kinds")
    for options in ((), ("--server-side",), ()):
        apply(plane, tmp_path, folder, *options)
