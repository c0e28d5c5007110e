"""Documents, markers and line ends stay what they are."""

import time
from pathlib import Path

import pytest

from tests.yaml_patch.edits import add, edited, remove, replace
from webhook.yaml_patch import YamlStream

DEPLOYMENT = (Path(__file__).parent / "cases" / "edits_all_over" / "before.yaml").read_text()


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_stay_what_they_are(newline):
    text = "a: 1\nb:\n  c: 2 # d\n".replace("\n", newline)
    expected = "a: 1\nb:\n  c: 2 # d\n  e: |\n    x\n    y\n  f:\n  - 1\n"
    assert edited(text, add("/b/e", "x\ny\n"), add("/b/f", [1])) == expected.replace("\n", newline)


def test_a_text_without_a_line_end_at_its_end_stays_one():
    assert edited("a: 1", add("/b", 2)) == "a: 1\nb: 2"
    assert edited("a: 1\nb: 2", remove("/b")) == "a: 1"
    assert edited("a: 1", add("/b", "x\ny\n")) == "a: 1\nb: |\n  x\n  y\n"
    assert edited("a: 1 # c\nb: |\n  x\n  y", add("/c", 1)) == "a: 1 # c\nb: |-\n  x\n  y\nc: 1"


def test_markers_directives_and_a_byte_order_mark_stay():
    text = "\ufeff# head\n%YAML 1.1\n--- # first\na: 1\n...\n# between\n---\n# none\n---\nb: 2\n...\n# end\n"
    assert YamlStream(text).documents == [{"a": 1}, None, {"b": 2}]
    assert edited(text, add("/c", 3), document=2) == text.replace("b: 2\n", "b: 2\nc: 3\n")
    assert edited(text, add("/c", 3), document=0) == text.replace("a: 1\n", "a: 1\nc: 3\n")


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "\ufeff"])
def test_a_text_without_documents_has_none(text):
    assert YamlStream(text).documents == []
    assert YamlStream(text).text == text


def test_documents_may_be_replaced_as_a_whole():
    assert edited("---\n# c\n", add("", {"a": 1})) == "---\n# c\na: 1\n"
    assert edited("--- # c\na: 1 # d\n...\n", replace("", "x")) == '--- # c\n"x"\n# d\n...\n'
    assert edited("--- {a: 1} # c\n", replace("", {"a": 2})) == "--- {a: 2} # c\n"
    assert edited("--- w # c\n", replace("", 2)) == "--- 2 # c\n"
    assert edited("  a: 1\n", replace("", 2)) == "2\n"
    assert edited("--- x # c\n", replace("", ["z"])) == "---\n# c\n- z\n"
    assert edited("# c\na: 1\n# d\n", remove("/a")) == "# c\n{}\n# d\n"


def test_edits_of_one_document_of_a_large_stream_are_quick():
    text = "---\n" + DEPLOYMENT
    begin = time.process_time()
    stream = YamlStream(text * 150)
    read = time.process_time()
    for document in range(0, 150, 10):
        stream.apply(document, [add("/spec/replicas", 3)])
    # A ninth; were the stream read anew for each, fifteen times as long.
    assert time.process_time() - read < read - begin
    assert stream.text.count("replicas: 3") == 15
