"""Edits of texts, checked on the way."""

import copy
import json
from textwrap import dedent

import jsonpatch

from webhook.yaml_patch import YamlStream


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
