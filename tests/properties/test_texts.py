"""Any text in an annotation gets a valid response."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.core.annotations import ANNOTATIONS, LONGEST_DURATION, PREFIX, STATUS_ANNOTATION, Annotation, duration
from webhook.core.injection import inject
from webhook.core.pod import JsonObject
from webhook.core.policy import Policy
from webhook.core.reasons import Finding, Kind, Reason
from webhook.core.recognize.frameworks import TABLE, Framework
from webhook.core.warnings import WARNING_LENGTH, format_warning

KNOWN = {STATUS_ANNOTATION, *(annotation.key for annotation in ANNOTATIONS)}
LONGEST_REFUSAL = 2000
LONGEST_NAME = "x" * 63
every_annotation = pytest.mark.parametrize("annotation", ANNOTATIONS, ids=lambda annotation: annotation.name)


def pod_with(annotations: dict[str, str]) -> JsonObject:
    worker = {"name": "worker", "command": ["/app/consume-one"]}
    labels = {"graceful-worker": "enabled"}
    return {"metadata": {"labels": labels, "annotations": annotations}, "spec": {"containers": [worker]}}


def in_units(seconds: int) -> str:
    parts = {"d": seconds // 86400, "h": seconds // 3600 % 24, "m": seconds // 60 % 60, "s": seconds % 60}
    return "".join(f"{count}{unit}" for unit, count in parts.items() if count) or "0s"


@given(st.integers(0, LONGEST_DURATION))
def test_durations_round_trip(seconds: int) -> None:
    for written in (str(seconds), f"{seconds}s", f"0{seconds}", in_units(seconds)):
        assert duration(written) == seconds


@given(st.integers(LONGEST_DURATION + 1, 10**30))
def test_durations_have_an_upper_limit(seconds: int) -> None:
    for written in (str(seconds), in_units(seconds)):
        with pytest.raises(ValueError, match=written):
            duration(written)


@given(st.text() | st.text(alphabet="0123456789dhms.- ٣", max_size=21))
def test_a_text_that_is_not_a_duration_is_refused(text: str) -> None:
    try:
        seconds = duration(text)
    except ValueError:
        return
    assert text.isascii()
    assert text[0].isdigit()
    assert set(text) <= set("0123456789dhms")
    assert text.isdigit() or text[-1] in "dhms"
    assert 0 <= seconds <= LONGEST_DURATION


@given(st.text(max_size=40), st.text())
def test_the_refusal_names_unknown_annotations(name: str, value: str) -> None:
    key = PREFIX + name
    if key in KNOWN:
        return
    injection = inject(pod_with({key: value}), Policy())
    assert injection.decision.reason is Reason.ANNOTATION_UNKNOWN
    named = key if key.isprintable() and not {'"', "\\"} & set(key) else PREFIX
    assert f"annotation {named}" in injection.refusal
    assert injection.refusal.isprintable()
    assert len(injection.refusal) < LONGEST_REFUSAL


@every_annotation
@given(value=st.text() | st.sampled_from(["x" * 300_000, "\n" * 300_000, "[" * 300_000, '"' * 300_000, "1" * 300_000]))
def test_values_are_accepted_or_the_refusal_names_the_annotation(annotation: Annotation, value: str) -> None:
    injection = inject(pod_with({annotation.key: value}), Policy())
    refusal = injection.refusal
    if injection.decision.outcome is Kind.REFUSED:
        assert annotation.key in refusal
        assert len(refusal) < LONGEST_REFUSAL
        assert refusal.isprintable()
    if injection.decision.reason is Reason.ANNOTATION_INVALID:
        assert annotation.accepts in refusal
    else:
        annotation.read(value)


def test_the_refusal_of_a_pod_of_many_containers_is_short() -> None:
    pod = pod_with({f"{PREFIX}containers": "worker"})
    pod["spec"]["containers"] = [{"name": f"{'x' * 60}{number}"} for number in range(200)]
    injection = inject(pod, Policy())
    assert injection.decision.reason is Reason.CONTAINER_UNKNOWN
    assert '"worker"' in injection.refusal
    assert len(injection.refusal) < LONGEST_REFUSAL


@given(st.text() | st.just("x" * 300_000), st.booleans() | st.integers())
def test_the_refusal_names_labels_that_are_not_strings(key: str, value: object) -> None:
    pod = pod_with({})
    pod["metadata"]["labels"] = {key: value}
    injection = inject(pod, Policy())
    assert injection.decision.reason is Reason.POD_MALFORMED
    assert "metadata.labels" in injection.refusal
    assert injection.refusal.isprintable()
    assert len(injection.refusal) < LONGEST_REFUSAL


@given(
    st.sampled_from([reason for reason in Reason if reason.kind in (Kind.WARNING, Kind.REFUSED)]),
    st.sampled_from(["", "worker", LONGEST_NAME]),
    st.text(max_size=200),
)
def test_warnings_are_not_too_long(reason: Reason, container: str, detail: str) -> None:
    warning = format_warning(Finding(reason, container, detail))
    assert len(warning) <= WARNING_LENGTH
    assert warning.startswith(f"{reason.value}: {container[:8]}")


@pytest.mark.parametrize("framework", TABLE.framework, ids=lambda framework: framework.name)
def test_warnings_about_frameworks_are_not_truncated(framework: Framework) -> None:
    """The required action must not be cut off: neither a caution, nor the flags to add to a shell string."""
    longest = {"grace_seconds": LONGEST_DURATION, "grace_milliseconds": LONGEST_DURATION * 1000}
    for mode in {flag.mode for flag in framework.flags}:
        added = " ".join(word for flag in framework.flags if flag.mode is mode for word in flag.add).format(**longest)
        assert format_warning(Finding(Reason.FLAGS_MISSING, LONGEST_NAME, added)).endswith(added)
    assert format_warning(Finding(Reason.FRAMEWORK_CAUTION, LONGEST_NAME, framework.caution)).endswith(
        framework.caution
    )
