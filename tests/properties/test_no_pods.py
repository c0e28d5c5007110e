"""Objects that are not valid pods get a response: no input raises an exception."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import jsonpatch
import jsonpointer
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from webhook.core.annotations import STATUS_ANNOTATION
from webhook.core.errors import Malformed, Refused
from webhook.core.injection import inject
from webhook.core.patch.json_patch import escape
from webhook.core.pod import JsonObject
from webhook.core.policy import Policy
from webhook.core.reasons import Kind, Reason
from webhook.core.uninject import restore

from .pods import json, odd_keys, pods

_POINTERS = st.lists(
    st.sampled_from(["spec", "containers", "worker", "command", "args", "metadata", "name", "volumes", "0", "-"])
    | odd_keys,
    max_size=5,
).map(lambda tokens: "".join(f"/{token}" for token in tokens))


@given(json | st.fixed_dictionaries({"spec": json}, optional={"metadata": json}))
def test_any_json_gets_a_decision(value: Any) -> None:
    injection = inject(value, Policy())
    assert injection.decision.reason is Reason.POD_MALFORMED
    assert injection.patch == []


@given(st.data(), pods(bad=True), json)
def test_a_pod_with_an_invalid_value_gets_a_decision(data: st.DataObject, pod: JsonObject, value: Any) -> None:
    wrong = {"pod": deepcopy(pod)}
    parent, key = data.draw(st.sampled_from(list(_places(wrong))))
    parent[key] = value
    injection = inject(wrong["pod"], Policy())
    assert len(injection.refusal) < 2000
    after = jsonpatch.apply_patch(wrong["pod"], injection.patch)
    if injection.patch:
        assert jsonpatch.apply_patch(after, restore(after)) == wrong["pod"]


@given(
    pods(),
    st.fixed_dictionaries(
        {},
        optional={
            "version": st.just("0") | json,
            "workers": st.just({"worker": {"mode": "loop"}}) | json,
            "before": st.dictionaries(_POINTERS | st.just("/spec/terminationGracePeriodSeconds"), json, max_size=3),
            "added": st.lists(_POINTERS, max_size=3),
            "created": st.dictionaries(_POINTERS, st.sampled_from(["absent", "null", ""]), max_size=3),
        },
    ),
)
def test_a_pod_with_a_foreign_status_record_gets_a_decision(pod: JsonObject, record: Any) -> None:
    pod["metadata"] = {"annotations": {STATUS_ANNOTATION: msgspec.json.encode(record).decode()}}
    injection = inject(pod, Policy())
    after = jsonpatch.apply_patch(pod, injection.patch)
    if injection.decision.outcome is Kind.PROTECTED:
        assert inject(after, Policy()).patch == []
    for either in (pod, after):
        _try_to_restore(either)


@given(st.text())
def test_a_status_annotation_that_is_not_a_record_is_refused(text: str) -> None:
    pod = {"metadata": {"annotations": {STATUS_ANNOTATION: text}}, "spec": {"containers": [{"name": "worker"}]}}
    assert inject(pod, Policy()).decision.reason is Reason.ANNOTATION_INVALID
    _try_to_restore(pod)


@given(st.lists(odd_keys, min_size=1, max_size=4), json)
def test_odd_keys_are_restored_at_their_place(path: list[str], value: Any) -> None:
    named = "".join(f"/{escape(key)}" for key in ("metadata", *path))
    record = {"before": {named: value}}
    odd: Any = {path[-1]: "something else"}
    for key in reversed(path[:-1]):
        odd = {key: odd}
    annotations = {STATUS_ANNOTATION: msgspec.json.encode(record).decode()}
    pod = {"metadata": odd | {"annotations": annotations}, "spec": {"containers": [{"name": "worker"}]}}
    after = jsonpatch.apply_patch(pod, restore(pod))
    assert jsonpointer.resolve_pointer(after, named) == value


@given(json)
def test_uninject_accepts_any_json(value: Any) -> None:
    _try_to_restore(value)


def _try_to_restore(pod: Any) -> None:
    """Restore a pod: this may be refused, but must not fail in another way, and the patch must apply."""
    try:
        operations = restore(pod)
    except (Malformed, Refused):
        return
    jsonpatch.apply_patch(pod, operations)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place inside a value: its parent, and its key or index in the parent."""
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield value, key
            yield from _places(item)
