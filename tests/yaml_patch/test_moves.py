"""Items are moved as they are written, with their comments."""

import pytest

from tests.yaml_patch.edits import after, edited, move


def test_the_path_of_a_move_is_that_after_the_removal():
    text = "a:\n- x # 1\n- v # 2\n- z # 3\n"
    assert edited(text, move("/a/0", "/a/2")) == "a:\n- v # 2\n- z # 3\n- x # 1\n"
    assert edited(text, move("/a/2", "/a/0")) == "a:\n- z # 3\n- x # 1\n- v # 2\n"
    assert after("- x\n- - v\n- - w\n  - z # 1\n", move("/0", "/1/1")) == "- - v\n- - w\n  - x\n  - z # 1\n"


def test_a_move_to_where_an_item_is_changes_nothing():
    text = "a: [x]\nb:\n- v # c\n"
    assert edited(text, move("/a/0", "/a/0"), move("/b/0", "/b/-"), move("/b", "/b")) == text


def test_the_blank_lines_between_items_stay_between_items():
    text = "a:\n# x\n- x\n\n# v\n- v\n\nb:\n# z\n- z\n"
    there = edited(text, move("/a/0", "/b/0"))
    assert there == "a:\n# v\n- v\n\nb:\n# x\n- x\n\n# z\n- z\n"
    assert edited(there, move("/b/0", "/a/0")) == text


def test_a_comment_that_is_deeper_than_the_dashes_belongs_to_the_item_above():
    text = "a:\n- x\n  # of x\n# of v\n- v\n  # of v\n- z\nb:\n- w\n  # of w\n- v\n"
    there = "a:\n- x\n  # of x\n- z\nb:\n- w\n  # of w\n# of v\n- v\n  # of v\n- v\n"
    assert edited(text, move("/a/1", "/b/1")) == there
    assert edited(there, move("/b/1", "/a/1")) == text


def test_a_list_whose_only_item_is_moved_is_empty():
    text = "a: # c\n  # about x\n  - x\nb: [] # d\n"
    there = edited(text, move("/a/0", "/b/-"))
    assert there == "a: [] # c\nb: # d\n  # about x\n  - x\n"
    assert edited(there, move("/b/0", "/a/0")) == text
    assert after("a: !!seq\n- x\nb: !!seq []\n", move("/a/0", "/b/0")) == "a: !!seq []\nb: !!seq\n- x\n"


def test_items_are_written_anew_where_flow_style_begins_or_ends():
    assert after("a: [x, 'w'] # c\nb:\n- z\n", move("/a/1", "/b/0")) == "a: [x] # c\nb:\n- w\n- z\n"
    assert after("a:\n- b: 1 # c\n- x\nb: ['z']\n", move("/a/0", "/b/-")) == "a:\n# c\n- x\nb: ['z', {\"b\": 1}]\n"
    assert after("{a: [x, v], b: []}\n", move("/a/1", "/b/-")) == "{a: [x], b: [v]}\n"
    assert after("a: [x]\nb: [ # c\n]\n", move("/a/0", "/b/-")) == "a: []\nb: # c\n- x\n"


def test_items_are_written_anew_where_another_dash_is_on_their_line():
    assert after("- - x # 1\n  - v\n- - z\n", move("/0/0", "/1/-")) == "- # 1\n  - v\n- - z\n  - x\n"
    assert after("- - x\n- - v\n  - z # 1\n", move("/1/1", "/0/0")) == "- - z\n  - x\n- - v\n  # 1\n"
    assert after("- - x\n- []\n", move("/0/0", "/1/0")) == "- []\n- - x\n"


def test_items_are_written_anew_where_an_empty_list_is_not_on_the_line_of_a_key():
    assert after("a:\n- x # 1\n- z\nb: [ # 2\n]\n", move("/a/0", "/b/-")) == "a:\n# 1\n- z\nb: # 2\n- x\n"
    assert after("- []\n-\n  - x\n  - z # 1\n", move("/1/1", "/0/-")) == "- - z\n-\n  - x\n  # 1\n"


def test_values_of_mappings_are_written_anew_where_they_are_moved_to():
    assert after("a:\n  b: 'x' # c\n  d: 1\ne:\n- v\n", move("/a/b", "/e/0")) == "a:\n  # c\n  d: 1\ne:\n- x\n- v\n"
    assert after("a:\n- x # c\n- v\nb: 1\n", move("/a/0", "/b")) == "a:\n# c\n- v\nb: x\n"
    assert after("a:\n  b: 1\n", move("/a/b", "")) == "1\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_moved_lines_have_the_line_ends_of_the_text_and_its_last_line_may_have_none(newline):
    text = "a:\n- x\n# of v\n- v: |\n    1\n\n    2\nb:\n  - z".replace("\n", newline)
    there = "a:\n- x\nb:\n  - z\n  # of v\n  - v: |\n      1\n\n      2".replace("\n", newline)
    assert edited(text, move("/a/1", "/b/-")) in (there, there + newline)
    assert edited(text, move("/b/0", "/a/1")) == (
        "a:\n- x\n- z\n# of v\n- v: |\n    1\n\n    2\nb: []".replace("\n", newline)
    )


def test_a_text_that_keeps_its_blank_lines_keeps_them_where_it_is_moved():
    text = "a:\n- x\n- |+\n  t\n\n- v\nb:\n- z\n"
    there = edited(text, move("/a/1", "/b/-"))
    assert there == "a:\n- x\n- v\nb:\n- z\n- |+\n  t\n\n"
    assert edited(there, move("/a/0", "/b/-")) == "a:\n- v\nb:\n- z\n- |+\n  t\n\n- x\n"
    assert edited(text, move("/b/0", "/a/2")) == "a:\n- x\n- |+\n  t\n\n- z\n- v\nb: []\n"


def test_a_text_that_ends_without_a_line_end_stays_what_it_is_where_it_is_moved():
    assert edited("a:\n- z\nb:\n- x\n- |\n  v\n  w", move("/b/1", "/a/0")) == "a:\n- |-\n  v\n  w\n- z\nb:\n- x"


def test_an_alias_is_written_out_where_its_item_is_moved_in_front_of_the_anchor():
    text = "a:\n- z\nb:\n- x: &x {k: 1}\n# c\n- v: *x # d\n  w: 'w' # e\nc: *x\n"
    there = edited(text, move("/b/1", "/a/-"))
    assert there == "a:\n- z\n# c\n- v: # d\n    k: 1\n  w: 'w' # e\nb:\n- x: &x {k: 1}\nc: *x\n"


def test_an_alias_is_written_out_where_its_anchor_is_moved_behind_it():
    text = "a:\n- x: &x {k: 1} # c\n- <<: *x\n  v: 'y' # d\nb: []\nc: *x\n"
    there = edited(text, move("/a/0", "/b/-"))
    assert there == "a:\n- k: 1\n  v: 'y' # d\nb:\n- x: &x {k: 1} # c\nc: *x\n"


def test_an_alias_of_what_a_move_changes_keeps_the_value_from_before():
    text = "a: &a\n- x\n# c\n- v\nb: &b []\nc: *a\nd: *b\n"
    there = edited(text, move("/a/1", "/b/-"))
    assert there == "a: &a\n- x\nb: &b\n# c\n- v\nc:\n- x\n- v\nd: []\n"


def test_an_alias_stays_where_a_move_does_not_touch_it():
    text = "a:\n- &x w\n- v: *x # c\nb:\n- z\nc: *x\n"
    assert edited(text, move("/a/1", "/b/0")) == "a:\n- &x w\nb:\n- v: *x # c\n- z\nc: *x\n"


def test_anchors_of_the_same_name_do_not_get_mixed_up():
    text = "a:\n- &x 1\n- *x # c\nb: &x 2\nc:\n- *x\n"
    assert edited(text, move("/a/1", "/c/-")) == "a:\n- &x 1\n# c\nb: &x 2\nc:\n- *x\n- 1\n"


def test_an_item_inside_of_what_an_alias_repeats_is_moved_there_alone():
    text = "a: &a\n- x\n- v\nb: *a\nc:\n- z\n"
    assert edited(text, move("/b/0", "/c/0")) == "a: &a\n- x\n- v\nb:\n- v\nc:\n- x\n- z\n"


def test_an_item_that_a_merge_key_gives_is_moved_out_of_a_list_of_its_own():
    text = "a: &a\n  l:\n  - x\n  - v\nb:\n  <<: *a\nc:\n- z\n"
    expected = "a: &a\n  l:\n  - x\n  - v\nb:\n  <<: *a\n  l:\n  - v\nc:\n- x\n- z\n"
    assert edited(text, move("/b/l/0", "/c/0")) == expected
