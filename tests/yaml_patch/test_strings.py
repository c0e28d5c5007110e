"""New strings: unambiguous, and as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from tests.yaml_patch.edits import add, after, edited
from tests.yaml_patch.generated import STRINGS
from webhook.yaml_patch import YamlStream
from webhook.yaml_patch.style import Style, Unquoted

TEXTS = st.text(
    st.sampled_from(list("aynofetru01289.:_-+xe'\"\\,[]{}&*!|>%@`=?~<#/$ \t\n\ré\u2028\x85\ufeff\x00\x7f😀"))
)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
@given(text=STRINGS | TEXTS, key=STRINGS | TEXTS, step=st.sampled_from([1, 2, 4]), quote=st.sampled_from("'\""))
def test_every_string_is_written_such_that_all_versions_of_yaml_read_it_as_that_string(version, text, key, step, quote):
    style = Style(step=step, quote=quote)
    value = {key: text, "list": [text, [text], {key: text}], "last": 1}
    for written_value in (
        style.block(value, 0),
        style.flow(value),
        style.flow(value, Unquoted(keys=True, strings=True)),
    ):
        reader = YAML(typ="safe", pure=True)
        reader.version = version
        assert reader.load(written_value) == value
        assert YamlStream(written_value).documents == [value]


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("x\ny\n", "|\n  x\n  y\n"),
        ("x\ny", "|-\n  x\n  y\n"),
        ("x\n\ny\n\n", "|+\n  x\n\n  y\n\n"),
        (" x\ny\n", "|2\n   x\n  y\n"),
        ("\n\tx\n", "|2\n\n  \tx\n"),
        ("# x\n", "|\n  # x\n"),
        ("x \ny\n", '"x \\ny\\n"\n'),
        ("x\r\ny\n", '"x\\r\\ny\\n"\n'),
        ("x\n\x07", '"x\\n\\u0007"\n'),
        ("\n", '"\\n"\n'),
        ("\n\n", '"\\n\\n"\n'),
        ("x\n  ", '"x\\n  "\n'),
    ],
)
def test_texts_of_several_lines_become_literal_blocks_if_these_can_hold_them(value, lines):
    assert edited("a: 1\n", add("/b", value)) == f"a: 1\nb: {lines}"
    assert edited("- a: 1\n", add("/0/b", value), add("/0/c", 1)).endswith("  c: 1\n")


def test_new_strings_have_the_quotes_that_the_document_prefers():
    assert after("a: 'x'\n", add("/b", "1")) == "a: 'x'\nb: '1'\n"
    assert after("a: x\n", add("/b", "1")) == 'a: x\nb: "1"\n'


AMBIGUOUS = (
    "yes No ON off y N true null ~ 1 -1 +1 1_0 0x1 0o7 017 08 0b1 1.5 .5 1e3 1:30 1:30:20 2001-01-01 .inf .NaN << = -"
)


@pytest.mark.parametrize(
    "value", [*AMBIGUOUS.split(), "", " a", "a ", "a: b", "a #b", "- a", "#a", "*a", "&a", "!a", "@a", "a:"]
)
def test_strings_that_may_be_read_as_something_else_are_quoted(value):
    assert edited("a: 1\n", add("/b", value)) == f'a: 1\nb: "{value}"\n'
    assert edited("a: [b]\n", add("/a/-", value)) == f'a: [b, "{value}"]\n'


@pytest.mark.parametrize(
    "value", ["a", "a b", "--queue=a,b", "-c", "$(A)", "/bin/sh", "1.2.3", "a#b", "http://a:80/", "é", "yesno"]
)
def test_other_strings_are_not_quoted(value):
    assert edited("a: 1\n", add("/b", value)) == f"a: 1\nb: {value}\n"
