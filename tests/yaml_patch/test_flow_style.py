"""Edits of flow collections keep their style and their lines."""

import re

import pytest

from tests.yaml_patch.edits import add, after, edited, remove, replace


def test_a_list_in_flow_style_stays_one_if_it_fits_on_a_line():
    text = "a: [x]  # c\n"
    assert edited(text, replace("/a", ["sh", "-c"])) == 'a: ["sh", "-c"]  # c\n'
    assert edited(text, replace("/a", ["x" * 103])) == f'a: ["{"x" * 103}"]  # c\n'
    assert edited(text, replace("/a", ["x" * 104])) == f"a: # c\n- {'x' * 104}\n"
    assert edited(text, replace("/a", ["x\ny\n"])) == "a: # c\n- |\n  x\n  y\n"


def test_items_are_added_to_flow_collections_in_their_style():
    assert after('a: ["x", "y"]\n', add("/a/-", "z"), add("/a/0", "w")) == 'a: ["w", "x", "y", "z"]\n'
    assert after("a: [ x, y ]\n", add("/a/1", "z"), remove("/a/0")) == "a: [ z, y ]\n"
    assert after('a: {b: "c"}\n', add("/a/d", "e"), add("/a/f", {"g": 1})) == 'a: {b: "c", d: "e", f: {g: 1}}\n'
    assert after("a: [x,]\n", add("/a/-", {"b": "c"})) == "a: [x, {b: c},]\n"
    assert after("a: {x: 1,v: }\n", replace("/a/v", 2), add("/a/z", [])) == "a: {x: 1,v: 2, z: [] }\n"
    assert after("a: [b: 1, c]\n", replace("/a/0/b", 2), add("/a/0/d", 3)) == "a: [{b: 2, d: 3}, c]\n"
    assert after("a: {b, c: 1}\n", replace("/a/b", 2)) == "a: {b: 2, c: 1}\n"


@pytest.mark.parametrize("comma", ["", ","])
def test_flow_collections_of_several_lines_keep_their_lines_and_comments(comma):
    text = f"a: [ # 0\n  x, # 1\n  # 2\n  'y'{comma} # 3\n  # 4\n]\n"
    assert edited(text, add("/a/-", "z")) == f"a: [ # 0\n  x, # 1\n  # 2\n  'y', # 3\n  z{comma}\n  # 4\n]\n"
    assert edited(text, replace("/a/1", "z")) == text.replace("y", "z")
    assert edited(text, remove("/a/0")) == f"a: [ # 0\n  # 1\n  # 2\n  'y'{comma} # 3\n  # 4\n]\n"
    everything_removed = edited(text, remove("/a/0"), remove("/a/0"))
    assert re.findall("# .", everything_removed) == re.findall("# .", text)
