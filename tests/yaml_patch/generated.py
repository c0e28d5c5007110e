"""Generates YAML texts for given data, in the styles that people use, and operations on them."""

import itertools
import json
import random
import re

import jsonpatch
import jsonpointer
from hypothesis import strategies as st

from tests.yaml_patch.edits import add, move, remove, replace, same
from webhook.yaml_patch import YamlStream
from webhook.yaml_patch.style import Style, Unquoted


class Writer:
    """Writes data as YAML in ways that people do, with numbered comments, anchors, aliases and merge keys."""

    def __init__(self, rng):
        self.rng = rng
        self.comments = 0
        self.anchors = {}
        self.names = itertools.count()

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
            merged = next(
                (n for n, v in self.anchors.items() if isinstance(v, dict) and v.items() <= rest.items()), None
            )
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
        name = f"a{next(self.names)}" if self.chance(15) else None
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
            plain = value.isalpha() and Style().flow(value, Unquoted(strings=True)) == value
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
    ["a", "b", "é", "yes", "n", "", "~", "1", "0x1f", "1e3", "0o7", "2001-01-01", "1:30", "<<", "=", "a: b", "- a",
     "a #b", "'", '"', "*a", "#", "a,b", "{", "[x]", "!a", "|", "a:", "\t", "\u2028",
     "x\ny", "x\ny\n", " x\n\n", "x\n\n", "a\r\n", "a \nb"]
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
    if writer.chance(10) and YamlStream(text[:-1]).documents == [value]:
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


def items(value):
    """Return the pointers of all items of lists."""
    return sorted(
        path
        for path in places(value)
        if re.fullmatch(r"0|[1-9]\d*", path.rpartition("/")[2])
        and isinstance(jsonpointer.resolve_pointer(value, path.rpartition("/")[0]), list)
    )


def random_move(rng, data):
    """Return a move, mostly of an item into a list; none where there is nothing to move."""
    is_item = rng.randrange(5) > 0
    sources = items(data) if is_item else [path for path in places(data) if not path.endswith(("/-", "/new"))]
    if not sources:
        return []
    source = rng.choice(sources)
    rest = jsonpatch.apply_patch(data, [remove(source)])
    ends = [path for path in places(rest) if path.endswith("/-")]
    targets = [*items(rest), *ends] if is_item else list(places(rest))
    # Once the source is removed, such a path would lead elsewhere, which is hard to understand.
    targets = sorted(path for path in targets if not path.startswith(f"{source}/"))
    return [move(source, rng.choice(targets))] if targets else []
