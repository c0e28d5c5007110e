"""Each folder in cases/ is one: `patch.json` turns `before.yaml` into `after.yaml`, and `back.json`, if any, back."""

import json
from pathlib import Path

import pytest

from tests.yaml_patch.edits import edited

CASES = sorted((Path(__file__).parent / "cases").iterdir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_edit_changes_only_the_lines_that_have_to_change(case):
    before, after = ((case / name).read_text() for name in ("before.yaml", "after.yaml"))
    assert edited(before, *json.loads((case / "patch.json").read_text())) == after


@pytest.mark.parametrize("case", [case for case in CASES if (case / "back.json").exists()], ids=lambda case: case.name)
def test_an_edit_that_is_undone_leaves_the_text_as_it_was(case):
    before, after = ((case / name).read_text() for name in ("before.yaml", "after.yaml"))
    assert edited(after, *json.loads((case / "back.json").read_text())) == before
