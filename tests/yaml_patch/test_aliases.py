"""Aliases and merge keys stay where their values do, and are written out elsewhere."""

from tests.yaml_patch.edits import add, edited, remove, replace

ALIASES = "base: &base # b\n  x: 1\n  list: [1, 2]\nother: *base # o\nmerged:\n  <<: *base\n  # m\n  z: 3\n"


def test_an_alias_is_written_out_where_an_edit_is_inside_of_it():
    expected = ALIASES.replace("other: *base # o\n", "other: # o\n  x: 5\n  list:\n  - 1\n  - 2\n")
    assert edited(ALIASES, replace("/other/x", 5)) == expected


def test_a_merged_key_is_put_above_by_one_of_the_mapping_itself():
    assert edited(ALIASES, replace("/merged/x", 5)) == ALIASES + "  x: 5\n"
    assert edited(ALIASES, add("/merged/list/-", 3)) == ALIASES + "  list:\n  - 1\n  - 2\n  - 3\n"


def test_a_merge_key_is_written_out_where_one_of_its_keys_is_removed():
    assert edited(ALIASES, remove("/merged/x")) == ALIASES.replace("  <<: *base\n", "  list:\n  - 1\n  - 2\n")


def test_aliases_of_what_is_edited_keep_the_values_from_before():
    expected = (
        "base: &base # b\n  x: 5\n  list: [1, 2]\nother: # o\n  x: 1\n  list:\n  - 1\n  - 2\n"
        "merged:\n  x: 1\n  list:\n  - 1\n  - 2\n  # m\n  z: 3\n"
    )
    assert edited(ALIASES, replace("/base/x", 5)) == expected
    assert edited(ALIASES, remove("/base")).startswith("# b\nother: # o\n  x: 1\n")


def test_aliases_stay_where_their_values_do_not_change():
    assert edited(ALIASES, add("/merged/w", 2), add("/new", 1)) == ALIASES + "  w: 2\nnew: 1\n"


def test_aliased_keys_are_written_out_where_their_anchor_goes_away():
    assert edited("a: &k x # 1\n*k : 2 # 2\n", remove("/a")) == "# 1\n# 2\nx: 2\n"
