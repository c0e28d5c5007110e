"""Edits in block style change only the lines that have to change."""

from pathlib import Path

import pytest

from tests.yaml_patch.edits import add, after, edited, remove, replace
from webhook.yaml_patch import YamlStream

DEPLOYMENT = (Path(__file__).parent / "cases" / "edits_all_over" / "before.yaml").read_text()


def test_what_was_added_all_over_a_manifest_can_be_removed_without_a_trace():
    stream = YamlStream(DEPLOYMENT)
    containers = "/spec/template/spec/containers"
    stream.apply(0, [add(f"{containers}/0", {"name": "new"}), add(f"{containers}/1/lifecycle", {"a": ["b"]})])
    stream.apply(0, [add("/spec/template/spec/volumes/0", {"name": "y"}), add("/status", {})])
    stream.apply(0, [remove("/status"), remove(f"{containers}/1/lifecycle"), remove(f"{containers}/0")])
    stream.apply(0, [remove("/spec/template/spec/volumes/0")])
    assert stream.text == DEPLOYMENT


def test_no_operation_changes_nothing():
    assert edited(DEPLOYMENT) == DEPLOYMENT


def test_replacing_a_value_by_an_equal_one_changes_nothing():
    data = YamlStream(DEPLOYMENT).documents[0]
    assert edited(DEPLOYMENT, replace("/spec", data["spec"]), replace("/kind", "Deployment")) == DEPLOYMENT


def test_replacing_a_collection_keeps_what_is_in_both():
    text = after("a: # A\n  b: 1 # B\n  c: 2 # C\n  d: [x, y]\n", replace("/a", {"b": 1, "c": 3, "e": 4}))
    assert text == "a: # A\n  b: 1 # B\n  c: 3 # C\n  e: 4\n"


def test_replacing_a_list_keeps_the_items_that_are_in_both():
    text = after("- a # 1\n- b # 2\n- c # 3\n", replace("", ["a", "x", "z", "c"]))
    assert text == "- a # 1\n- x # 2\n- z\n- c # 3\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a:\n- x\nb: 1\n", "a:\n- x\nb: 1\nnew:\n- 1\n- k:\n  - 2\n"),
        ("a:\n  - x\nb: 1\n", "a:\n  - x\nb: 1\nnew:\n  - 1\n  - k:\n      - 2\n"),
        ("a:\n    b: 1\n", "a:\n    b: 1\nnew:\n- 1\n- k:\n  - 2\n"),
        ("a:\n- x\nb:\n  - x\nc:\n  - x\n", "a:\n- x\nb:\n  - x\nc:\n  - x\nnew:\n  - 1\n  - k:\n      - 2\n"),
    ],
)
def test_new_lists_are_indented_as_most_lists_of_the_document_are(text, expected):
    assert edited(text, add("/new", [1, {"k": [2]}])) == expected


def test_new_mappings_are_indented_as_most_mappings_of_the_document_are():
    text = after("a:\n    b:\n        c: 1\n", add("/a/d", {"e": {"f": "x\ny"}}))
    assert (
        text
        == "a:\n    b:\n        c: 1\n    d:\n        e:\n            f: |-\n                x\n                y\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "written_value"),
    [
        ('"x"', "y z", '"y z"'),
        ("'x'", "it's", "'it''s'"),
        ("x", "y z", "y z"),
        ("x", "true", '"true"'),
        ("x", 3, "3"),
        ('"x"', None, "null"),
        ("x", {}, "{}"),
        ("{a: b}", [], "[]"),
        ("*b", "z", "z"),
        ("!!str 1", "2", '"2"'),
    ],
)
def test_a_scalar_is_replaced_in_its_place_with_the_quotes_it_had(old, new, written_value):
    text = f"b: &b 1\na:   {old}  # comment\nc: d\n"
    assert edited(text, replace("/a", new)) == f"b: &b 1\na:   {written_value}  # comment\nc: d\n"


@pytest.mark.parametrize("null", ["", " ~", " null", "   "])
def test_a_null_value_is_replaced_behind_its_key(null):
    assert edited(f"a:{null} # c\nb: 1\n", replace("/a", {"x": 1})) == "a: # c\n  x: 1\nb: 1\n"
    assert edited(f"- a:{null}\n  b: 1\n", replace("/0/a", "x")).splitlines()[0].split() == ["-", "a:", "x"]


def test_a_null_item_is_replaced_behind_its_dash():
    assert after("-\n- # c\n- ~\n", replace("/0", 1), replace("/1", 2), replace("/2", [3])) == "- 1\n- 2 # c\n- - 3\n"


def test_keys_are_added_to_empty_collections_in_block_style_save_inside_flow_style():
    assert after("a: {} # c\nb: []\n", add("/a/x", 1), add("/b/-", "y z")) == "a: # c\n  x: 1\nb:\n- y z\n"
    assert after("a: {b: {}, c: []}\n", add("/a/b/x", "z"), add("/a/c/-", 1)) == "a: {b: {x: z}, c: [1]}\n"


def test_a_collection_of_which_nothing_is_left_is_empty():
    assert after("a:\n  b: 1 # c\n  # d\ne:\n- x\n", remove("/a/b"), remove("/e/0")) == "a: {}\n# c\n# d\ne: []\n"
    assert after("a: {b: 1}\nc: [x]\n", remove("/a/b"), remove("/c/0")) == "a: {}\nc: []\n"


def test_a_new_key_comes_behind_comments_that_belong_to_its_mapping_and_before_others():
    text = "a:\n  b: 1\n    # deeper\n\n  # same\n # less\n# none\nc: 1\n"
    expected = "a:\n  b: 1\n    # deeper\n\n  # same\n  x: 1\n # less\n# none\nc: 1\n"
    assert edited(text, add("/a/x", 1)) == expected


def test_a_new_item_comes_before_a_comment_at_the_column_of_dashes_that_are_not_indented():
    assert after("a:\n- x\n  # of x\n# of b\nb: 1\n", add("/a/-", "z")) == "a:\n- x\n  # of x\n- z\n# of b\nb: 1\n"


def test_a_new_item_comes_before_the_comments_of_the_next_one():
    text = "a:\n# first\n- x\n\n# second\n- y\n"
    assert edited(text, add("/a/0", 0), add("/a/2", 1)) == "a:\n- 0\n# first\n- x\n- 1\n\n# second\n- y\n"


def test_compact_collections_are_edited_in_their_columns():
    text = "- - a\n  - b: 1 # c\n    d: 2\n-   e: 3\n"
    operations = [remove("/0/1/b"), add("/0/1/x", [1]), add("/0/0", "new"), add("/1/f", {"g": 4})]
    assert edited(text, *operations) == (
        "- - new\n  - a\n  - # c\n    d: 2\n    x:\n    - 1\n-   e: 3\n    f:\n      g: 4\n"
    )


@pytest.mark.parametrize("behind", ["    # deeper\n- w\n", "\n\n- w\n", "   "])
@pytest.mark.parametrize("value", ["x\ny\n", "x\ny", "x\n\n"])
def test_a_new_text_of_several_lines_does_not_take_in_what_stands_behind_it(value, behind):
    text = f"- v\n{behind}"
    assert edited(text, add("/1" if "w" in behind else "/-", value)).endswith(behind)
    assert edited(text, add("/0", {"k": [value]})).endswith(text)


def test_removed_entries_leave_their_comments():
    text = "# 1\na: x # 2\n# 3\nb: # 4\n  # 5\n  - y # 6\nc: z\n"
    assert edited(text, remove("/a"), remove("/b")) == "# 1\n# 2\n# 3\n# 4\n# 5\n# 6\nc: z\n"


@pytest.mark.parametrize("empty", ["", " ", "  ", "   "])
def test_the_empty_lines_that_a_block_scalar_begins_with_may_be_indented_less_than_its_text(empty):
    text = f"a:\n  b: |\n{empty}\n   x\n  c: 1\n"
    assert edited(text, add("/a/d", 2)) == f"{text}  d: 2\n"


@pytest.mark.parametrize("header", ["|", ">", "|-", ">-", "|2-"])
def test_a_key_behind_a_block_scalar_comes_before_the_blank_lines(header):
    text = f"a:\n  b: {header}\n    x\n\n\nc: 1\n"
    assert edited(text, add("/a/d", 1)) == f"a:\n  b: {header}\n    x\n  d: 1\n\n\nc: 1\n"


def test_a_key_behind_a_block_scalar_that_keeps_its_blank_lines_comes_behind_them():
    assert after("a:\n  b: |+\n    x\n\n\nc: 1\n", add("/a/d", 1)) == "a:\n  b: |+\n    x\n\n\n  d: 1\nc: 1\n"


def test_keys_behind_question_marks_are_written_in_the_short_form_where_they_change():
    assert edited("? a # 1\n: b # 2\n? c\n", replace("/a", "x"), add("/d", 1)) == "a: x\n# 1\n# 2\n? c\nd: 1\n"
