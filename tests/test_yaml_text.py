"""The text of a manifest after an edit: right in its data, and as untouched as possible."""

import copy
import json
import random
import re
import time
from textwrap import dedent

import jsonpatch
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from webhook.cli.yaml_render import Style
from webhook.cli.yaml_text import InvalidYaml, YamlText


def add(path, value):
    return {"op": "add", "path": path, "value": value}


def replace(path, value):
    return {"op": "replace", "path": path, "value": value}


def remove(path):
    return {"op": "remove", "path": path}


def same(one, other):
    """Compare data such that 1, 1.0 and true differ."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def edited(text, *operations, document=0):
    """Edit a text, and check on the way what holds for every edit."""
    stream = YamlText(text)
    expected = stream.documents
    expected[document] = jsonpatch.apply_patch(expected[document], copy.deepcopy(list(operations)))
    stream.apply(document, operations)
    assert same(stream.documents, expected)
    assert same(YamlText(stream.text).documents, expected)
    return stream.text


def after(text, *operations):
    return edited(dedent(text), *operations)


class Writer:
    """Writes data as YAML in ways that people do, with numbered comments, anchors, aliases and merge keys."""

    def __init__(self, rng):
        self.rng = rng
        self.comments = 0
        self.anchors = {}

    def chance(self, percent):
        return self.rng.randrange(100) < percent

    def comment(self, blanks=" "):
        if not self.chance(15):
            return ""
        self.comments += 1
        return f"{blanks}# c{self.comments}."

    def gap(self, column):
        lines = ""
        while self.chance(15):
            indent = " " * max(0, column + self.rng.choice((-2, 0, 0, 0, 1, 2)))
            lines += "\n" if self.chance(40) else indent + (self.comment("").strip() or "#") + "\n"
        return lines

    def document(self, value):
        if isinstance(value, dict | list) and value and self.chance(85):
            self.indent = 0
            return self.gap(0) + self.collection(value, self.rng.choice((0, 0, 0, 2)))
        return f"{self.inline(value)}{self.comment()}\n"

    def collection(self, value, column):
        lines = []
        if isinstance(value, list):
            for item in value:
                lines.append(" " * column + "-" + self.behind(item, column, dash=True))
        else:
            rest = dict(value)
            merged = next((n for n, v in self.anchors.items() if isinstance(v, dict) and v.items() <= rest.items()), None)
            if merged and self.anchors[merged] and self.chance(60):
                lines.append(" " * column + f"<<: *{merged}{self.comment()}\n")
                rest = {k: v for k, v in rest.items() if k not in self.anchors[merged] or self.chance(30)}
            for key, item in rest.items():
                lines.append(" " * column + self.key(key) + ":" + self.behind(item, column))
        text = lines[0]
        for line in lines[1:]:
            # Behind a block scalar, blank lines and comments may be a part of it.
            text += line if re.search("[|].*\n.*\n.*\n?\n?\\Z", text) else self.gap(column) + line
        return text

    def key(self, key):
        return self.rng.choice((key, json.dumps(key), f"'{key}'")) if key.isalpha() and key != "n" else json.dumps(key)

    def behind(self, value, column, dash=False):
        known = [name for name, old in self.anchors.items() if same(old, value)]
        if known and self.chance(50):
            return f" *{known[-1]}{self.comment()}\n"
        name = f"a{len(self.anchors)}" if self.chance(15) else None
        text = self.anchored(value, column, f" &{name}" if name else "", dash)
        if name:
            self.anchors[name] = value
        return text

    def anchored(self, value, column, anchor, dash):
        step = self.rng.choice((2, 2, 2, 1, 4))
        if isinstance(value, dict | list) and value and self.chance(75):
            if dash and not anchor and self.chance(80):
                wide = self.rng.choice((1, 1, 3))
                return " " * wide + self.collection(value, column + 1 + wide).lstrip(" ")
            if not dash and isinstance(value, list) and self.chance(50):
                step = 0
            inner = column + step
            return f"{anchor}{self.comment()}\n{self.gap(inner)}{self.collection(value, inner)}"
        if isinstance(value, str) and "\n" in value and self.chance(70) and Style().inline(value) is None:
            block = Style(step=step).entry("-" if dash else "k:", value, column)
            header, _, lines = block.partition("\n")
            return f"{anchor}{header[1 if dash else 2 :]}{self.comment()}\n{lines}"
        if value is None and self.chance(50):
            return f"{anchor}{self.comment()}\n"
        return f"{anchor} {self.inline(value, column + 1)}{self.comment()}\n"

    def inline(self, value, column=1):
        if isinstance(value, dict | list):
            return self.flow(value, column)
        if value is None:
            return self.rng.choice(("~", "null"))
        if isinstance(value, str):
            plain = value.isalpha() and Style().flow(value, bare=True) == value
            single = "'" + value.replace("'", "''") + "'" if value.isprintable() else json.dumps(value)
            return self.rng.choice((json.dumps(value), single, *([value] * plain)))
        return json.dumps(value)

    def flow(self, value, column):
        pairs = value.items() if isinstance(value, dict) else ((None, item) for item in value)
        items = [(self.key(k) + ": " if k is not None else "") + self.inline(v, column) for k, v in pairs]
        opening, closing = ("{", "}") if isinstance(value, dict) else ("[", "]")
        margin = "\n" + " " * (column + 1)
        if not items or self.chance(60):
            blank = self.rng.choice(("", "", " "))
            return opening + blank + self.rng.choice((", ", ",  ")).join(items) + blank * bool(items) + closing
        comma = self.rng.choice(("", ","))
        text = opening + self.comment()
        for position, item in enumerate(items):
            last = position + 1 == len(items)
            text += margin + item + (comma if last else ",") + self.comment()
        return text + margin + closing


STRINGS = st.sampled_from(
    ["a", "b", "yes", "n", "", "~", "1", "0x1f", "1e3", "a: b", "a #b", "- a", "x\ny", "x\ny\n", " x\n\n", "é", "'", '"', "*a",
     "2001-01-01", "1:30", "a\r\n", "\t", "x\n\n", "<<", "=", "0o7", "#", "a,b", "{", "[x]", "!a", "|", "a:", "\u2028", "a \nb"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.5, -1e30]) | STRINGS
KEYS = st.sampled_from(["a", "b", "c", "d", "e", "n", "x/y", "x~z", "1", ""])
DATA = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=14
)
COLLECTIONS = st.lists(DATA, min_size=1, max_size=4) | st.dictionaries(KEYS, DATA, min_size=1, max_size=5)
COMMENT = re.compile(r"# c\d+\.")
RANDOM = st.integers(0, 2**32).map(random.Random)


def written(rng, value):
    """Return a text that means the value."""
    writer = Writer(rng)
    text = writer.document(value)
    if writer.chance(20):
        text = "---\n" + text
    if writer.chance(10) and YamlText(text[:-1]).documents == [value]:
        text = text.removesuffix("\n")
    if writer.chance(15):
        text = text.replace("\n", "\r\n")
    if writer.chance(5):
        text = "\ufeff" + text
    return text


def places(value, path=""):
    """Yield the pointers of all values, and of the ends of all lists."""
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from places(item, f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}")
    if isinstance(value, list):
        yield f"{path}/-"
    if isinstance(value, dict):
        yield f"{path}/new"


def random_operation(rng, data, new):
    options = sorted(places(data))
    path = rng.choice(options)
    if path.endswith(("/-", "/new")):
        return add(path, new)
    return rng.choice((add(path, new), replace(path, new), remove(path)))


@settings(max_examples=300, deadline=None)
@given(COLLECTIONS, RANDOM, st.lists(DATA, min_size=1, max_size=4))
def test_any_edits_of_any_text_give_the_right_data_and_keep_every_comment(value, rng, news):
    text = written(rng, value)
    stream = YamlText(text)
    assert same(stream.documents, [value]), text
    operations, data = [], value
    for new in news:
        if not isinstance(data, dict | list):
            break
        operations.append(random_operation(rng, data, new))
        data = jsonpatch.apply_patch(data, copy.deepcopy(operations[-1:]))
    stream.apply(0, operations)
    assert same(stream.documents, [data]), text
    assert same(YamlText(stream.text).documents, [data])
    assert sorted(COMMENT.findall(stream.text)) == sorted(COMMENT.findall(text))
