"""How a text is parsed, and which texts are rejected."""

import re
import time

import pytest

from tests.yaml_patch.edits import add, edited, replace, same
from tests.yaml_patch.test_aliases import ALIASES
from webhook.yaml_patch import InvalidYaml, YamlStream


def test_tabs_may_stand_where_go_yaml_allows_them():
    assert edited("a:\tb\t# c\nd: [\t1,\n\t2 ]\n", replace("/a", "x"), add("/d/-", 3)).startswith(
        "a:\tx\t# c\nd: [\t1,"
    )


def test_documents_are_what_go_yaml_reads():
    text = (
        "a: yes\nb: 0o17\nc: 017\nd: 1_000\ne: 2001-01-01\nf: 1:30\ng: !!str 1\nh: ~\ni: 1e3\nj: 08\nk: 'no'\nl: 0x1F\n"
    )
    (data,) = YamlStream(text).documents
    assert same(data, {"a": True, "b": 15, "c": 15, "d": 1000, "e": "2001-01-01", "f": "1:30", "g": "1", "h": None,
                       "i": 1000.0, "j": 8.0, "k": "no", "l": 31})  # fmt: skip


def test_every_alias_has_a_copy_of_its_own():
    (data,) = YamlStream(ALIASES).documents
    data["other"]["list"].append(3)
    assert data["base"]["list"] == data["merged"]["list"] == [1, 2]


def test_the_first_of_several_merged_mappings_counts():
    assert YamlStream("- &a {x: 1}\n- &b {x: 2, w: 3}\n- {<<: [*a, *b], z: 4}\n").documents[0][2] == {
        "x": 1,
        "w": 3,
        "z": 4,
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [\n", "line 2, column 1: "),
        ("---\na: 1\n---\na: 1\nb: 2\na: 3\n", "line 6, column 1: the key 'a' occurs twice in this mapping"),
        ("a:\n  1: 2\n", "line 2, column 3: this key is not a string"),
        ("{[a]: 2}\n", "line 1, column 2: this key is not a string"),
        ("a: *b\n", "line 1, column 4: no anchor 'b' is defined"),
        ("a: &a [*a]\n", "line 1, column 8: the alias 'a' is inside the node that it repeats"),
        ("a: \x07\n", "line 1, column 4: the character #x0007 is not allowed"),
        ("a: .inf\n", "line 1, column 4: .inf is not a JSON number"),
        ("a: !!int b\n", "line 1, column 4: 'b' is not of the type int"),
        ('a: "\\U99999999"\n', "not YAML"),
        ("a: 1\n<<: x\n", "line 2, column 1: a merge key needs a mapping"),
        ("a: 1\n<<: {a: 2}\n", "line 2, column 1: the merge key repeats 'a'"),
        ("a: 1\n  b: 2\n", "line 2, column 4: "),
        ("\ta: 1\n", "line 1, column 1: "),
        ("%YAML 9.1\n---\na\n", "line 1, column 1: "),
    ],
)
def test_a_text_that_has_no_single_meaning_is_refused_with_its_place(text, problem):
    with pytest.raises(InvalidYaml, match=re.escape(problem)):
        YamlStream(text)


LAUGHS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'ha'] * 9)}]\n" for n in range(12))


@pytest.mark.parametrize("text", [LAUGHS, "[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000])
def test_texts_that_grow_or_nest_without_end_are_refused_quickly(text):
    begin = time.process_time()
    with pytest.raises(InvalidYaml, match=r"aliases repeat more than|nested more than"):
        YamlStream(text)
    assert time.process_time() - begin < 8


@pytest.mark.parametrize(
    "text", ["[" * 195 + "]" * 195, "- " * 195 + "a\n", "".join(" " * n + "k:\n" for n in range(195))]
)
def test_deep_nesting_below_the_limit_can_be_edited(text):
    data = YamlStream(text).documents[0]
    path = ""
    while data:
        path, data = (f"{path}/0", data[0]) if isinstance(data, list) else (f"{path}/k", data["k"])
        if isinstance(data, str):
            break
    assert "new" in edited(text, replace(path, "new"))
