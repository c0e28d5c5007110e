"""The one vocabulary of reasons: code, kind and sentence of everything that can be said about a pod."""

from __future__ import annotations

from enum import Enum

import msgspec

WARNING_LENGTH = 120
"""Characters of a warning at most: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#response."""


class Kind(Enum):
    """What a reason says of the pod."""

    PROTECTED = "protected"
    LEFT_ALONE = "left-alone"
    REFUSED = "refused"
    ERROR = "error"
    CHANGE = "change"
    NOTE = "note"
    WARNING = "warning"


class Reason(Enum):
    """A reason; its value is the code that logs, metrics, warnings and audit annotations carry."""

    code: str
    """The value, but without the descriptor that Enum puts before it: a pod has twenty reasons."""
    kind: Kind
    sentence: str

    def __new__(cls, code: str, kind: Kind, sentence: str) -> Reason:
        """Make the code the member's value, and all three its attributes."""
        member = object.__new__(cls)
        member._value_ = member.code = code
        member.kind = kind
        member.sentence = sentence
        return member

    # What becomes of the pod: each decision has exactly one of these.
    INJECTED = "injected", Kind.PROTECTED, "The pod is protected."
    UNCHANGED = "unchanged", Kind.PROTECTED, "The pod was protected already; nothing is left to add."

    OPTED_OUT = "opted-out", Kind.LEFT_ALONE, "The pod's own label says disabled."
    NOT_LABELLED = "not-labelled", Kind.LEFT_ALONE, "The pod is not labelled, and only labelled pods were asked for."
    NOT_A_WORKER = (
        "not-a-worker",
        Kind.LEFT_ALONE,
        "No known worker command, and a port, network probe or terminal: this is no worker; label the pod to override.",
    )
    WINDOWS_POD = "windows-pod", Kind.LEFT_ALONE, "Windows containers have no POSIX shell and no signals."
    MIRROR_POD = "mirror-pod", Kind.LEFT_ALONE, "A mirror pod only reflects a static pod; a patch has no effect."
    CRITICAL_POD = (
        "critical-pod",
        Kind.LEFT_ALONE,
        "The cluster cannot do without pods of a system-critical class, so none of them depends on graceful-worker.",
    )
    NOT_A_POD = "not-a-pod", Kind.LEFT_ALONE, "Only pods and their evictions are patched."
    NOT_A_CREATION = "not-a-creation", Kind.LEFT_ALONE, "Pods are patched when they are created only."

    # What becomes of an eviction; none is ever refused.
    EVICTION_HEALED = "eviction-healed", Kind.PROTECTED, "The pod keeps its own grace period."
    EVICTION_LONG_ENOUGH = (
        "eviction-long-enough",
        Kind.LEFT_ALONE,
        "The eviction leaves the pod as much time as it has by itself.",
    )
    EVICTION_AS_ASKED = (
        "eviction-as-asked",
        Kind.LEFT_ALONE,
        "The pod lets evictions cut its grace period.",
    )
    EVICTION_OF_ANOTHER = "eviction-of-another", Kind.LEFT_ALONE, "The pod is none that graceful-worker protects."
    EVICTION_OF_LOST_NODE = (
        "eviction-of-lost-node",
        Kind.LEFT_ALONE,
        "Nobody hears from the pod's node any more, so no message there can be seen to finish.",
    )
    EVICTION_GONE = "eviction-gone", Kind.LEFT_ALONE, "There is no such pod any more."
    EVICTION_UNSEEN = "eviction-unseen", Kind.LEFT_ALONE, "The pod cannot be looked at, so its eviction is as it was."
    EVICTION_CLOSED = (
        "eviction-closed",
        Kind.LEFT_ALONE,
        "Pods are looked at for the API server alone, and the caller has not proved to be it.",
    )
    EVICTION_GUARD_OFF = "eviction-guard-off", Kind.LEFT_ALONE, "The guard on evictions is off."

    # Requests that get no verdict, only an HTTP error.
    REVIEW_INVALID = "review-invalid", Kind.ERROR, "The request is no valid AdmissionReview."
    REVIEW_TOO_LARGE = "review-too-large", Kind.ERROR, "The request body is over the limit."
    REVIEW_TOO_SLOW = "review-too-slow", Kind.ERROR, "The request body did not arrive in time."
    REVIEW_SHED = "review-shed", Kind.ERROR, "More is on its way than the server can hold; try again."
    REVIEW_NOT_JSON = "review-not-json", Kind.ERROR, "The request body must be of type application/json."
    DEFECT = "defect", Kind.ERROR, "A defect of graceful-worker; the failurePolicy decides."

    POD_MALFORMED = "pod-malformed", Kind.REFUSED, "The pod is not of the shape that Kubernetes documents."
    LABEL_INVALID = "label-invalid", Kind.REFUSED, "The label has a value that means nothing."
    ANNOTATION_UNKNOWN = "annotation-unknown", Kind.REFUSED, "The annotation is not one of graceful-worker's."
    ANNOTATION_INVALID = "annotation-invalid", Kind.REFUSED, "The annotation's value cannot be read."
    ANNOTATION_CONFLICT = "annotation-conflict", Kind.REFUSED, "The annotation contradicts the rest of the pod."
    CONTAINER_UNKNOWN = "container-unknown", Kind.REFUSED, "The annotation names a container that the pod lacks."
    TOO_MANY_WORKERS = "too-many-workers", Kind.REFUSED, "The pod has more worker containers than can be waited for."
    VOLUME_CONFLICT = "volume-conflict", Kind.REFUSED, "The volume's name or mount path is taken by something else."
    STOP_SIGNAL_UNHEARD = (
        "stop-signal-unheard",
        Kind.REFUSED,
        "The kubelet would send a stop signal that the wrapper does not hear.",
    )
    SIDECAR_HOOK_EARLY = (
        "sidecar-hook-early",
        Kind.REFUSED,
        "As a native sidecar it would run its preStop hook at once, while the worker still works.",
    )
    SIDECAR_ENDS = (
        "sidecar-ends",
        Kind.REFUSED,
        "As a native sidecar it would be restarted for ever, though its restart policy says otherwise.",
    )
    SHELL_CONFLICT = (
        "shell-conflict",
        Kind.REFUSED,
        "The name or the path of the shell that is to be brought is taken by something else.",
    )
    TOO_MANY_CONTAINERS = "too-many-containers", Kind.REFUSED, "The pod has more containers than are decided on."
    SHELL_TEXT_TOO_LONG = "shell-text-too-long", Kind.REFUSED, "The pod's shell strings are longer than what is read."
    PATCH_TOO_LARGE = "patch-too-large", Kind.REFUSED, "With what it would get, the pod could not be stored."
    REGISTRY_REQUIRED = (
        "registry-required",
        Kind.REFUSED,
        "The operator wants to know first what its image runs, which could not be asked now.",
    )
    # These refuse a labelled pod; in a labelled namespace the pod is left alone: decision.py says why.
    COMMAND_UNKNOWN = "command-unknown", Kind.REFUSED, "Only the image knows the command that is to be looped."
    SHELL_MISSING = "shell-missing", Kind.REFUSED, "The image has no shell for the loop."
    WORKERS_AMBIGUOUS = (
        "workers-ambiguous",
        Kind.REFUSED,
        "Nothing tells which of the containers is the worker.",
    )
    ANNOTATIONS_FULL = "annotations-full", Kind.REFUSED, "The pod's annotations leave no room for the record."

    # Why nothing could be learned of an image: these stand behind another reason.
    IMAGE_NAME_INVALID = "image-name-invalid", Kind.NOTE, "The image has no name by which it can be asked."
    IMAGE_HOST_FORBIDDEN = "image-host-forbidden", Kind.NOTE, "The image's registry may not be asked."
    IMAGE_DENIED = "image-denied", Kind.NOTE, "The registry does not show the image to us."
    IMAGE_NOT_FOUND = "image-not-found", Kind.NOTE, "The registry has no such image."
    IMAGE_PLATFORM_MISSING = "image-platform-missing", Kind.NOTE, "The image has no variant for the pod's platform."
    IMAGE_INVALID = "image-invalid", Kind.NOTE, "What the registry sends is no image that can be read."
    IMAGE_LIMIT = "image-limit", Kind.NOTE, "The pod has more images than are looked up."
    REGISTRY_OFF = "registry-off", Kind.NOTE, "No registry is asked, and the operator's table does not have the image."
    REGISTRY_CLOSED = (
        "registry-closed",
        Kind.NOTE,
        "Registries are asked for the API server alone, and the caller has not proved to be it.",
    )
    REGISTRY_FAILED = "registry-failed", Kind.NOTE, "The image's registry cannot be asked."
    REGISTRY_TOO_SLOW = "registry-too-slow", Kind.NOTE, "The image's registry did not answer in time."
    REGISTRY_QUEUE = "registry-queue", Kind.NOTE, "Too many images are being looked up."

    # Why things are done as they are.
    WORKER_NAMED = "worker-named", Kind.NOTE, "Is a worker: the annotation names it."
    WORKER_KNOWN = "worker-known", Kind.NOTE, "Is a worker: its command is a known one."
    WORKER_RECORDED = "worker-recorded", Kind.NOTE, "Is a worker: an earlier injection has found it."
    WORKER_DEFAULT = "worker-default", Kind.NOTE, "Is the worker: it is the pod's default container."
    WORKER_LEFT = "worker-left", Kind.NOTE, "Is the worker: all other containers serve or assist."
    WORKER_SAYS = "worker-says", Kind.NOTE, "Is a worker: its name or its image says so."
    WORKER_FIRST = "worker-first", Kind.NOTE, "Is the worker: it is the only container."
    SIDECAR = "sidecar", Kind.NOTE, "Is a sidecar: it outlives the workers."
    SIDECAR_IGNORED = "sidecar-ignored", Kind.NOTE, "Is a sidecar, and ignored as the annotation asks."
    SIDECAR_NATIVE = (
        "sidecar-native",
        Kind.NOTE,
        "Is a native sidecar: the kubelet ends it after the workers by itself.",
    )
    COMMAND_KEPT = "command-kept", Kind.NOTE, "Nothing is put before the command."
    IMAGE_UNKNOWN = "image-unknown", Kind.NOTE, "What the image runs could not be learned, so it is treated as unknown."
    IMAGE_STALE = (
        "image-stale",
        Kind.NOTE,
        "The registry cannot be asked, so what it has said of the image before counts.",
    )
    HOOK_IMPOSSIBLE = "hook-impossible", Kind.NOTE, "Gets no hook, as its image has no shell."
    COMMAND_OF_IMAGE = "command-of-image", Kind.NOTE, "The command is the image's."
    MODE_ASKED = "mode-asked", Kind.NOTE, "The mode is the one that the annotation asks for."
    MODE_KNOWN = "mode-known", Kind.NOTE, "The mode is the one that suits the known command."
    FRAMEWORK_NOTE = "framework-note", Kind.NOTE, "Worth knowing of this worker."
    RUN_TO_COMPLETION = (
        "run-to-completion",
        Kind.NOTE,
        "The pod is to run to completion: it gets the signal mode, never the loop.",
    )
    EVICTION_CUT = (
        "eviction-cut",
        Kind.NOTE,
        "An eviction may ask for less time; the cluster autoscaler asks for 600 s at most.",
    )

    # What is done.
    COMMAND_WRAPPED = "command-wrapped", Kind.CHANGE, "The command runs again and again, until the kill file is there."
    PARENT_ADDED = (
        "parent-added",
        Kind.CHANGE,
        "A parent stands before the command, and passes signals on to those who heed them.",
    )
    FLAGS_LOWERED = "flags-lowered", Kind.CHANGE, "A flag of the worker's command is lowered."
    SIDECAR_RESTORED = "sidecar-restored", Kind.CHANGE, "Is made a native sidecar again, as somebody has undone that."
    FLAGS_ADDED = "flags-added", Kind.CHANGE, "The worker's command gets flags that it lacked."
    KILL_FILE_HOOK = "kill-file-hook", Kind.CHANGE, "The preStop hook creates the kill file."
    SIDECAR_HOOK = "sidecar-hook", Kind.CHANGE, "The preStop hook waits for the end of the workers."
    HOOK_CHAINED = "hook-chained", Kind.CHANGE, "The preStop hook that was there runs after that."
    SIDECAR_MOVED = (
        "sidecar-moved",
        Kind.CHANGE,
        "Becomes a native sidecar: the kubelet ends it after the workers.",
    )
    SHELL_BROUGHT = "shell-brought", Kind.CHANGE, "A shell is brought into the pod."
    VOLUME_SHARED = "volume-shared", Kind.CHANGE, "The containers share a volume."
    GRACE_RAISED = "grace-raised", Kind.CHANGE, "The grace period is raised."
    PROBE_GRACE = "probe-grace", Kind.CHANGE, "Failed probes keep the old grace period."
    MESH_OPT_OUT = "mesh-opt-out", Kind.CHANGE, "Istio's sidecar is opted out of."
    MESH_NATIVE = "mesh-native", Kind.CHANGE, "Istio is asked for its native sidecar."
    EVICTION_FORBIDDEN = "eviction-forbidden", Kind.CHANGE, "Cluster autoscaler and Karpenter may not evict the pod."

    # What the operator ought to know: these are sent to whoever creates the pod.
    REGISTRY_TROUBLE = (
        "registry-trouble",
        Kind.WARNING,
        "its image could not be asked now, so it counts as unknown:",
    )
    FLAGS_MISSING = (
        "flags-missing",
        Kind.WARNING,
        "the command lacks flags, so the drain may fail; add",
    )
    MODE_DEFAULT = "mode-default", Kind.WARNING, "unknown:"
    GRACE_KEPT = (
        "grace-kept",
        Kind.WARNING,
        "not raised, as a worker may heed nothing; if it heeds TERM, set graceful-worker/mode: signal",
    )
    LOOP_IMPOSSIBLE = (
        "loop-impossible",
        Kind.WARNING,
        "not looped: write its whole command as a list, without a shell",
    )
    OWN_LIMIT = "own-limit", Kind.WARNING, "its own limit cuts messages off after"
    PROBE_OF_PROCESS_1 = (
        "probe-of-process-1",
        Kind.WARNING,
        "a probe looks at process 1, so nothing is put before the command",
    )
    FLAG_TOO_HIGH = "flag-too-high", Kind.WARNING, "delays the drain; lower"
    OWN_LOOP = "own-loop", Kind.WARNING, "the shell string has a loop of its own; unless it ends by itself, remove it"
    NEVER_RETURNS = "never-returns", Kind.WARNING, "this worker never ends by itself, so the loop mode will hang"
    FRAMEWORK_CAUTION = "framework-caution", Kind.WARNING, "beware:"
    HOOK_KEPT = (
        "hook-kept",
        Kind.WARNING,
        "no kill file, so only the stop signal ends it and sidecars wait 5 s at most: preStop is",
    )
    SIDECAR_HOOK_KEPT = "sidecar-hook-kept", Kind.WARNING, "will not wait: a preStop of this kind cannot be chained:"
    MESH_KEPT = "mesh-kept", Kind.WARNING, "Istio stays, as the pod asks; better: annotation"
    SIDECAR_WITHOUT_SHELL = "sidecar-without-shell", Kind.WARNING, "no shell for a hook; use"


class Finding(msgspec.Struct, frozen=True, gc=False):
    """One thing to say about a pod: the reason, where it applies, and the particulars."""

    reason: Reason
    container: str = ""
    detail: str = ""

    def __str__(self) -> str:
        """Say it in one line: `container NAME: sentence (detail)`; a warning's sentence ends with the detail."""
        where = f"container {self.container}: " if self.container else ""
        if self.reason.kind is Kind.WARNING:
            return f"{where}{self.reason.sentence} {self.detail}".rstrip()
        return f"{where}{self.reason.sentence}{self.detail and f' ({self.detail})'}"


def warning(finding: Finding) -> str:
    """Say a finding in the 120 characters that the API server leaves a warning; the container's name yields first."""
    text = f"{finding.reason.sentence} {finding.detail}".rstrip()
    head = f"{finding.reason.code}: "
    if finding.container:
        room = WARNING_LENGTH - len(head) - len(text) - 2
        name = finding.container if len(finding.container) <= room else finding.container[: max(room - 1, 8)] + "…"
        head += f"{name}: "
    line = head + text
    return line if len(line) <= WARNING_LENGTH else line[: WARNING_LENGTH - 1] + "…"
