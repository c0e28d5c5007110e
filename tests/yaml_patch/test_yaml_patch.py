"""The text of a manifest after an edit: right in its data, and as untouched as possible."""

import copy
import itertools
import json
import random
import re
import time
from textwrap import dedent

import jsonpatch
import jsonpointer
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from webhook.yaml_patch import InvalidYaml, YamlStream
from webhook.yaml_patch.block_writer import DocumentWriter
from webhook.yaml_patch.style import Style, Unquoted


def add(path, value):
    return {"op": "add", "path": path, "value": value}


def replace(path, value):
    return {"op": "replace", "path": path, "value": value}


def remove(path):
    return {"op": "remove", "path": path}


def move(source, path):
    return {"op": "move", "from": source, "path": path}


def same(one, other):
    """Compare data such that 1, 1.0 and true differ."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def edited(text, *operations, document=0):
    """Edit a text, and check on the way what holds for every edit."""
    stream = YamlStream(text)
    expected = stream.documents
    expected[document] = jsonpatch.apply_patch(expected[document], copy.deepcopy(list(operations)))
    stream.apply(document, operations)
    assert same(stream.documents, expected)
    assert same(YamlStream(stream.text).documents, expected)
    return stream.text


def after(text, *operations):
    return edited(dedent(text), *operations)


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
    # Once the source is gone, such a path would lead somewhere else, but nobody would understand it.
    targets = sorted(path for path in targets if not path.startswith(f"{source}/"))
    return [move(source, rng.choice(targets))] if targets else []


@given(COLLECTIONS, RANDOM, st.lists(DATA, min_size=1, max_size=4))
def test_any_edits_of_any_text_give_the_right_data_and_keep_every_comment(value, rng, news):
    text = written(rng, value)
    stream = YamlStream(text)
    assert same(stream.documents, [value]), text
    operations, data = [], value
    for new in news:
        if not isinstance(data, dict | list):
            break
        operations.append(random_operation(rng, data, new))
        data = jsonpatch.apply_patch(data, copy.deepcopy(operations[-1:]))
    stream.apply(0, operations)
    assert same(stream.documents, [data]), text
    assert same(YamlStream(stream.text).documents, [data])
    assert sorted(COMMENT.findall(stream.text)) == sorted(COMMENT.findall(text))


@given(COLLECTIONS, RANDOM, st.lists(DATA, min_size=1, max_size=4))
def test_any_moves_in_any_text_give_the_right_data_and_keep_every_comment(value, rng, news):
    text = written(rng, value)
    stream = YamlStream(text)
    operations, data = [], value
    for new in news:
        if not isinstance(data, dict | list):
            break
        step = random_move(rng, data) if rng.randrange(4) else [random_operation(rng, data, new)]
        operations += step
        data = jsonpatch.apply_patch(data, copy.deepcopy(step))
    stream.apply(0, operations)
    assert same(stream.documents, [data]), text
    assert same(YamlStream(stream.text).documents, [data])
    assert sorted(COMMENT.findall(stream.text)) == sorted(COMMENT.findall(text))


ITEM_LINES = st.sampled_from(
    ["x", "'y' # c", "{a: 1} # c", "a: 1\n  b: # c\n    - z\n  # end", "|\n    t\n\n     t", "- 1\n  - 2"]
)
HEADS = st.sampled_from(["", "# h\n", "# h\n# i\n"])
ITEMS = st.lists(st.tuples(HEADS, ITEM_LINES), min_size=1, max_size=4)


def list_of(entries, column, gap):
    text = gap.join(f"{head}- {line}\n" for head, line in entries)
    return re.sub("^(?=.)", " " * column, text, flags=re.MULTILINE)


@given(ITEMS, ITEMS | st.just([]), st.tuples(*[st.sampled_from([0, 2, 3])] * 2), st.sampled_from(["", "\n"]), st.data())
def test_an_item_that_is_moved_there_and_back_leaves_the_text_as_it_was(one, other, columns, gap, choices):
    assume(len(one) > 1)
    lists = [f"one:\n{list_of(one, columns[0], gap)}"]
    lists.append(f"other:\n{list_of(other, columns[1], gap)}" if other else "other: [] # c\n")
    text = "".join(choices.draw(st.permutations(lists))) + "# end\nz: 1\n"
    at = choices.draw(st.integers(0, len(one) - 1))
    to = choices.draw(st.integers(0, len(other)))
    there = edited(text, move(f"/one/{at}", f"/other/{to}"))
    assert sorted(line.strip() for line in there.splitlines() if ":" not in line) == sorted(
        line.strip() for line in text.splitlines() if ":" not in line
    )
    assert edited(there, move(f"/other/{to}", f"/one/{at}")) == text


@given(COLLECTIONS, RANDOM, DATA)
def test_adding_to_a_collection_leaves_all_lines_as_they_were_and_removing_it_again_the_whole_text(value, rng, new):
    text = written(rng, value)
    # Blank lines behind a block scalar may or may not be a part of it, and an anchor may have to be written out.
    assume(text.endswith("\n") and "\\n\\n" not in json.dumps(new) and not re.search(r"[|].*[+]|[*]", text))
    path = rng.choice([path for path in places(value) if path.endswith(("/-", "/new"))] or ["/-"])
    parent = jsonpointer.resolve_pointer(value, path.rpartition("/")[0])
    assume(parent)
    stream = YamlStream(text)
    stream.apply(0, [add(path, new)])
    if not re.search(r"[\[{]", text):
        lines = iter(stream.text.splitlines())
        assert all(line in lines for line in text.splitlines())
    stream.apply(0, [remove(path if isinstance(parent, dict) else f"{path[:-1]}{len(parent)}")])
    assert stream.text == text


@given(COLLECTIONS, RANDOM, DATA)
def test_the_data_is_right_even_if_an_edit_would_have_meant_something_else(value, rng, new):
    class Careless(DocumentWriter):
        def write(self, root, slot):
            return super().write(root, slot) if self._rewritten else "- not what was meant"

    text = written(rng, value)
    operation = random_operation(rng, value, new)
    assume(not same(jsonpatch.apply_patch(value, [operation]), value))
    stream = YamlStream(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("webhook.yaml_patch.stream.DocumentWriter", Careless)
        stream.apply(0, [operation])
    assert same(stream.documents, [jsonpatch.apply_patch(value, [operation])])


def test_a_change_that_cannot_be_written_is_an_error(monkeypatch):
    monkeypatch.setattr(DocumentWriter, "write", lambda *_: "a: [")
    stream = YamlStream("a: 1\n")
    with pytest.raises(ValueError, match="cannot be written"):
        stream.apply(0, [add("/b", 1)])
    assert stream.text == "a: 1\n"


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


DEPLOYMENT = """\
# A worker.
apiVersion: apps/v1
kind: Deployment   # the usual kind
metadata:
  name: 'worker'
  annotations:
  # none so far
  labels: {app: worker, "tier": 'x'}

spec:
  template:
    spec:
      # all containers
      containers:
      # the worker
      - name: worker   # its name
        image: "worker:1"
        command: ["python", "-m", "worker"]  # what to run
        args: []
        env:
        - name: A
          value: 'yes'

        # the second one
        - {name: B, value: "2"}
      # the sidecar
      - name: side
        script: |
          a
            b
          # no comment

      volumes: &volumes
      - name: x
        # about x
    # about the pod
  # end of spec
# end of document
"""


def test_edits_all_over_a_manifest_change_only_the_lines_that_have_to():
    containers = "/spec/template/spec/containers"
    text = edited(
        DEPLOYMENT,
        add("/metadata/annotations", {"a/b": "yes"}),
        add("/metadata/labels/c", "d"),
        replace(f"{containers}/0/command", ["/bin/sh", "-c", 'set -e\nexec "$@"\n', "marker"]),
        add(f"{containers}/0/args", ["python", "-m", "worker"]),
        add(f"{containers}/0/env/-", {"name": "C", "value": "0x10"}),
        add(f"{containers}/1/lifecycle", {"preStop": {"exec": {"command": ["a", "b c"]}}}),
        add("/spec/template/spec/volumes/-", {"name": "z", "emptyDir": {}}),
        add("/spec/replicas", 3),
    )
    assert (
        text
        == """\
# A worker.
apiVersion: apps/v1
kind: Deployment   # the usual kind
metadata:
  name: 'worker'
  annotations:
    a/b: "yes"
  # none so far
  labels: {app: worker, "tier": 'x', c: d}

spec:
  template:
    spec:
      # all containers
      containers:
      # the worker
      - name: worker   # its name
        image: "worker:1"
        command: # what to run
        - /bin/sh
        - -c
        - |
          set -e
          exec "$@"
        - marker
        args:
        - python
        - -m
        - worker
        env:
        - name: A
          value: 'yes'

        # the second one
        - {name: B, value: "2"}
        - name: C
          value: "0x10"
      # the sidecar
      - name: side
        script: |
          a
            b
          # no comment
        lifecycle:
          preStop:
            exec:
              command:
              - a
              - b c

      volumes: &volumes
      - name: x
        # about x
      - name: z
        emptyDir: {}
    # about the pod
  # end of spec
  replicas: 3
# end of document
"""
    )


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


def test_new_strings_have_the_quotes_that_the_document_prefers():
    assert after("a: 'x'\n", add("/b", "1")) == "a: 'x'\nb: '1'\n"
    assert after("a: x\n", add("/b", "1")) == 'a: x\nb: "1"\n'


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


def test_tabs_may_stand_where_kubernetes_allows_them():
    assert edited("a:\tb\t# c\nd: [\t1,\n\t2 ]\n", replace("/a", "x"), add("/d/-", 3)).startswith(
        "a:\tx\t# c\nd: [\t1,"
    )


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


SIDECAR = """\
spec:
  initContainers:
  - name: init
    # end of init

  # all containers

  # the containers
  containers:
    # the worker
    - name: worker

    # the sidecar
    # (nginx)
    -   name: side   # its name
        image: 'nginx'
        args: ["-c", # config
          'x']
        script: |
          a
            b

          # no comment
        # end of the sidecar

    # the last one
    - {name: last} # flow

  volumes: []
"""


def test_an_item_is_moved_as_it_is_written_with_its_comments():
    there = edited(SIDECAR, move("/spec/containers/1", "/spec/initContainers/-"))
    assert (
        there
        == """\
spec:
  initContainers:
  - name: init
    # end of init

  # the sidecar
  # (nginx)
  -   name: side   # its name
      image: 'nginx'
      args: ["-c", # config
        'x']
      script: |
        a
          b

        # no comment
      # end of the sidecar

  # all containers

  # the containers
  containers:
    # the worker
    - name: worker

    # the last one
    - {name: last} # flow

  volumes: []
"""
    )
    assert edited(there, move("/spec/initContainers/1", "/spec/containers/1")) == SIDECAR


def test_items_are_moved_to_a_list_that_is_made_for_them_and_back():
    at, of = "/spec/containers", "/spec/new"
    there = edited(
        SIDECAR, replace(f"{at}/1/image", "x"), add(of, []), move(f"{at}/1", f"{of}/-"), move(f"{at}/1", f"{of}/-")
    )
    assert there.endswith(
        """\
  volumes: []
  new:

    # the sidecar
    # (nginx)
    -   name: side   # its name
        image: 'x'
        args: ["-c", # config
          'x']
        script: |
          a
            b

          # no comment
        # end of the sidecar

    # the last one
    - {name: last} # flow
"""
    )
    back = [move(f"{of}/0", f"{at}/1"), move(f"{of}/0", f"{at}/2"), remove(of), replace(f"{at}/1/image", "nginx")]
    assert edited(there, *back) == SIDECAR


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


def test_keys_behind_question_marks_are_written_in_the_short_form_where_they_change():
    assert edited("? a # 1\n: b # 2\n? c\n", replace("/a", "x"), add("/d", 1)) == "a: x\n# 1\n# 2\n? c\nd: 1\n"


def test_documents_are_what_kubernetes_reads():
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
def test_a_text_that_kubernetes_would_not_read_is_refused_with_its_place(text, problem):
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
