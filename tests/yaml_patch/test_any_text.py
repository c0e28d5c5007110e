"""Properties of every edit of every text."""

import copy
import json
import re

import jsonpatch
import jsonpointer
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.yaml_patch.edits import add, edited, move, remove, same
from tests.yaml_patch.generated import (
    COLLECTIONS,
    COMMENT,
    DATA,
    RANDOM,
    places,
    random_move,
    random_operation,
    written,
)
from webhook.yaml_patch import YamlStream
from webhook.yaml_patch.block_writer import DocumentWriter


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
