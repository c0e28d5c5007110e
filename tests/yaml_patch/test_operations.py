"""Operations that cannot be applied."""

import jsonpatch
import pytest

from tests.yaml_patch.edits import add, edited, move, remove
from webhook.yaml_patch import YamlStream


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (remove("/b"), jsonpatch.JsonPatchConflict),
        (add("/l/5", 1), jsonpatch.JsonPatchConflict),
        (add("a", 1), jsonpatch.JsonPointerException),
        ({"op": "copy", "from": "/a", "path": "/b"}, ValueError),
        (remove(""), ValueError),
        (move("", "/b"), ValueError),
        (move("/b", "/c"), jsonpatch.JsonPatchConflict),
        (move("/l/-", "/b"), jsonpatch.JsonPointerException),
        (move("/a", "/l/1"), jsonpatch.JsonPatchConflict),
        ({"op": "move", "path": "/b"}, jsonpatch.InvalidJsonPatch),
        (add("/b", float("nan")), ValueError),
        (add("/b", {1: 2}), ValueError),
        (add("/b", {2}), ValueError),
    ],
)
def test_an_operation_that_cannot_be_applied_is_an_error_and_changes_nothing(operation, error):
    stream = YamlStream("a: 1\nl: []\n")
    with pytest.raises(error):
        stream.apply(0, [add("/c", 1), operation])
    assert stream.text == "a: 1\nl: []\n"


def test_the_operations_are_left_as_they_were_given():
    operations = [add("/a", {"b": {}}), add("/a/b/c", 1)]
    assert edited("x: 1\n", *operations) == "x: 1\na:\n  b:\n    c: 1\n"
    assert operations == [add("/a", {"b": {}}), add("/a/b/c", 1)]
