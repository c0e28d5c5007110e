"""The reasons for everything that graceful-worker does or does not do: code, kind and sentence."""

from __future__ import annotations

from enum import Enum

import msgspec

from webhook.core.coded_enum import CodedEnum


class Kind(Enum):
    """What a reason tells about the pod."""

    PROTECTED = "protected"
    LEFT_ALONE = "left-alone"
    REFUSED = "refused"
    ERROR = "error"
    CHANGE = "change"
    NOTE = "note"
    WARNING = "warning"


class Reason(CodedEnum):
    """A reason. Its value is the code used in logs, metrics, warnings and audit annotations."""

    kind: Kind
    sentence: str

    # The verdict on a pod: each decision has exactly one.
    INJECTED = "injected", Kind.PROTECTED, "The pod is protected."
    UNCHANGED = "unchanged", Kind.PROTECTED, "The pod is already protected; there is nothing to add."

    OPTED_OUT = "opted-out", Kind.LEFT_ALONE, "The pod is opted out by its own label."
    NOT_LABELLED = "not-labelled", Kind.LEFT_ALONE, "The pod has no label, and --only-labelled skips such pods."
    NOT_A_WORKER = (
        "not-a-worker",
        Kind.LEFT_ALONE,
        "Not a worker: unknown command, and a port, network probe or terminal. Label the pod to protect it anyway.",
    )
    WINDOWS_POD = "windows-pod", Kind.LEFT_ALONE, "Windows containers have neither a POSIX shell nor signals."
    MIRROR_POD = "mirror-pod", Kind.LEFT_ALONE, "A mirror pod only reflects a static pod; patching it has no effect."
    CRITICAL_POD = (
        "critical-pod",
        Kind.LEFT_ALONE,
        "System-critical pods are never patched: they must not depend on graceful-worker.",
    )
    NOT_A_POD = "not-a-pod", Kind.LEFT_ALONE, "Only pods and pod evictions are patched."
    NOT_A_CREATION = "not-a-creation", Kind.LEFT_ALONE, "Pods are patched only when they are created."

    # The verdict on an eviction; none is ever refused.
    EVICTION_HEALED = "eviction-healed", Kind.PROTECTED, "The pod keeps its own grace period."
    EVICTION_LONG_ENOUGH = (
        "eviction-long-enough",
        Kind.LEFT_ALONE,
        "The eviction does not shorten the pod's grace period.",
    )
    EVICTION_AS_ASKED = (
        "eviction-as-asked",
        Kind.LEFT_ALONE,
        "The pod allows evictions to shorten its grace period.",
    )
    EVICTION_OF_ANOTHER = "eviction-of-another", Kind.LEFT_ALONE, "The pod is not protected by graceful-worker."
    EVICTION_OF_LOST_NODE = (
        "eviction-of-lost-node",
        Kind.LEFT_ALONE,
        "The pod's node is unreachable, so there is nothing to wait for.",
    )
    EVICTION_OVERDUE = (
        "eviction-overdue",
        Kind.LEFT_ALONE,
        "The pod's grace period is over, so there is nothing to wait for.",
    )
    EVICTION_GONE = "eviction-gone", Kind.LEFT_ALONE, "The pod no longer exists."
    EVICTION_UNSEEN = "eviction-unseen", Kind.LEFT_ALONE, "The pod cannot be read, so the eviction is left unchanged."
    EVICTION_CLOSED = (
        "eviction-closed",
        Kind.LEFT_ALONE,
        "Pods are read only for the API server, and the caller has not authenticated as the API server.",
    )
    EVICTION_GUARD_OFF = "eviction-guard-off", Kind.LEFT_ALONE, "The eviction guard is off."

    # Requests that get an HTTP error instead of a verdict.
    REVIEW_INVALID = "review-invalid", Kind.ERROR, "The request is not a valid AdmissionReview."
    REVIEW_TOO_LARGE = "review-too-large", Kind.ERROR, "The request body exceeds the limit."
    REVIEW_TOO_SLOW = "review-too-slow", Kind.ERROR, "The request body did not arrive in time."
    REVIEW_SHED = "review-shed", Kind.ERROR, "The server is overloaded; try again."
    REVIEW_NOT_JSON = "review-not-json", Kind.ERROR, "The request's Content-Type must be application/json."
    DEFECT = "defect", Kind.ERROR, "An internal error of graceful-worker; the failurePolicy applies."

    POD_MALFORMED = "pod-malformed", Kind.REFUSED, "The pod is not valid."
    LABEL_INVALID = "label-invalid", Kind.REFUSED, "The label's value is not valid."
    ANNOTATION_UNKNOWN = "annotation-unknown", Kind.REFUSED, "The annotation is unknown."
    ANNOTATION_INVALID = "annotation-invalid", Kind.REFUSED, "The annotation's value is not valid."
    ANNOTATION_CONFLICT = "annotation-conflict", Kind.REFUSED, "The annotation contradicts the rest of the pod."
    CONTAINER_UNKNOWN = "container-unknown", Kind.REFUSED, "The annotation names a container that is not in the pod."
    TOO_MANY_WORKERS = "too-many-workers", Kind.REFUSED, "The pod has too many worker containers."
    VOLUME_CONFLICT = "volume-conflict", Kind.REFUSED, "The volume's name or mount path is already in use."
    STOP_SIGNAL_UNHEARD = (
        "stop-signal-unheard",
        Kind.REFUSED,
        "The wrapper does not handle the container's stop signal.",
    )
    SIDECAR_HOOK_EARLY = (
        "sidecar-hook-early",
        Kind.REFUSED,
        "As a native sidecar, it would run its preStop hook at once, while the worker is still running.",
    )
    SIDECAR_ENDS = (
        "sidecar-ends",
        Kind.REFUSED,
        "As a native sidecar, it would always be restarted, whatever its restart policy says.",
    )
    SHELL_CONFLICT = (
        "shell-conflict",
        Kind.REFUSED,
        "The name or path of the injected shell is already in use.",
    )
    TOO_MANY_CONTAINERS = "too-many-containers", Kind.REFUSED, "The pod has too many containers."
    SHELL_TEXT_TOO_LONG = "shell-text-too-long", Kind.REFUSED, "The pod's inline shell scripts are too long."
    PATCH_TOO_LARGE = "patch-too-large", Kind.REFUSED, "The patched pod would be too large for the API server."
    REGISTRY_REQUIRED = (
        "registry-required",
        Kind.REFUSED,
        "The image could not be looked up, and --registry-trouble=refuse requires it.",
    )
    # These refuse a labelled pod. An unlabelled pod in a labelled namespace is left alone: decision.py says why.
    COMMAND_UNKNOWN = (
        "command-unknown",
        Kind.REFUSED,
        "Loop mode needs the worker's command, which is not in the manifest.",
    )
    SHELL_MISSING = "shell-missing", Kind.REFUSED, "Loop mode needs a shell, and the image has none."
    WORKERS_AMBIGUOUS = (
        "workers-ambiguous",
        Kind.REFUSED,
        "It is not clear which container is the worker.",
    )
    ANNOTATIONS_FULL = (
        "annotations-full",
        Kind.REFUSED,
        "The pod's annotations leave no room for graceful-worker's status annotation.",
    )

    # Why an image could not be looked up: the detail of another reason.
    IMAGE_NAME_INVALID = "image-name-invalid", Kind.NOTE, "The image name cannot be looked up."
    IMAGE_HOST_FORBIDDEN = "image-host-forbidden", Kind.NOTE, "The image's registry is not allowed."
    IMAGE_DENIED = "image-denied", Kind.NOTE, "The registry denies access to the image."
    IMAGE_NOT_FOUND = "image-not-found", Kind.NOTE, "The registry has no such image."
    IMAGE_PLATFORM_MISSING = "image-platform-missing", Kind.NOTE, "The image does not support the pod's platform."
    IMAGE_INVALID = "image-invalid", Kind.NOTE, "The registry's response is not a valid image."
    IMAGE_LIMIT = "image-limit", Kind.NOTE, "The pod has too many images to look up, or is too large to wait for them."
    REGISTRY_OFF = (
        "registry-off",
        Kind.NOTE,
        "Registry lookups are off, and the operator's table does not list the image.",
    )
    REGISTRY_CLOSED = (
        "registry-closed",
        Kind.NOTE,
        "Images are looked up only for the API server, and the caller has not authenticated as the API server.",
    )
    REGISTRY_FAILED = "registry-failed", Kind.NOTE, "The request to the image's registry failed."
    REGISTRY_TOO_SLOW = "registry-too-slow", Kind.NOTE, "The image's registry did not answer in time."
    REGISTRY_QUEUE = "registry-queue", Kind.NOTE, "Too many image lookups are in progress."

    # Why a container is treated as it is.
    WORKER_NAMED = "worker-named", Kind.NOTE, "Worker: the annotation names it."
    WORKER_KNOWN = "worker-known", Kind.NOTE, "Worker: its command is known."
    WORKER_RECORDED = "worker-recorded", Kind.NOTE, "Worker: recorded by an earlier injection."
    WORKER_DEFAULT = "worker-default", Kind.NOTE, "Worker: it is the pod's default container."
    WORKER_LEFT = "worker-left", Kind.NOTE, "Worker: all other containers are servers or helpers."
    WORKER_SAYS = "worker-says", Kind.NOTE, "Worker: its name or image says so."
    WORKER_FIRST = "worker-first", Kind.NOTE, "Worker: it is the only container."
    SIDECAR = "sidecar", Kind.NOTE, "Sidecar: it outlives the workers."
    SIDECAR_IGNORED = "sidecar-ignored", Kind.NOTE, "Sidecar: ignored, as the annotation asks."
    SIDECAR_NATIVE = (
        "sidecar-native",
        Kind.NOTE,
        "Native sidecar: the kubelet stops it after the workers.",
    )
    COMMAND_KEPT = "command-kept", Kind.NOTE, "The command is left unchanged."
    IMAGE_UNKNOWN = "image-unknown", Kind.NOTE, "The image could not be looked up, so its command counts as unknown."
    IMAGE_STALE = (
        "image-stale",
        Kind.NOTE,
        "The registry cannot be reached, so an earlier response about the image is used.",
    )
    HOOK_IMPOSSIBLE = "hook-impossible", Kind.NOTE, "No preStop hook is added: the image has no shell."
    COMMAND_OF_IMAGE = "command-of-image", Kind.NOTE, "The command comes from the image."
    MODE_ASKED = "mode-asked", Kind.NOTE, "The annotation sets the mode."
    MODE_KNOWN = "mode-known", Kind.NOTE, "The command is known and determines the mode."
    FRAMEWORK_NOTE = "framework-note", Kind.NOTE, "Worth knowing about this worker."
    RUN_TO_COMPLETION = (
        "run-to-completion",
        Kind.NOTE,
        "The pod runs to completion, so it gets signal mode, never loop mode.",
    )
    EVICTION_CUT = (
        "eviction-cut",
        Kind.NOTE,
        "An eviction may ask for a shorter grace period; the cluster autoscaler asks for at most 600 s.",
    )

    # What is changed.
    COMMAND_WRAPPED = "command-wrapped", Kind.CHANGE, "The command runs in a loop until the kill file exists."
    PARENT_ADDED = (
        "parent-added",
        Kind.CHANGE,
        "The command gets a parent process that forwards signals only to processes that handle them.",
    )
    FLAGS_LOWERED = "flags-lowered", Kind.CHANGE, "A flag of the worker's command is lowered."
    SIDECAR_RESTORED = "sidecar-restored", Kind.CHANGE, "Becomes a native sidecar again: something had undone that."
    FLAGS_ADDED = "flags-added", Kind.CHANGE, "Missing flags are added to the worker's command."
    KILL_FILE_HOOK = "kill-file-hook", Kind.CHANGE, "The preStop hook creates the kill file."
    SIDECAR_HOOK = "sidecar-hook", Kind.CHANGE, "The preStop hook waits until the workers have ended."
    HOOK_CHAINED = "hook-chained", Kind.CHANGE, "The container's own preStop hook runs after that."
    SIDECAR_MOVED = (
        "sidecar-moved",
        Kind.CHANGE,
        "Becomes a native sidecar: the kubelet stops it after the workers.",
    )
    SHELL_BROUGHT = "shell-brought", Kind.CHANGE, "A shell is injected into the pod."
    VOLUME_SHARED = "volume-shared", Kind.CHANGE, "The containers share a volume."
    GRACE_RAISED = "grace-raised", Kind.CHANGE, "The grace period is raised."
    PROBE_GRACE = "probe-grace", Kind.CHANGE, "Failed probes keep the old grace period."
    MESH_OPT_OUT = "mesh-opt-out", Kind.CHANGE, "The pod is opted out of Istio's sidecar."
    MESH_NATIVE = "mesh-native", Kind.CHANGE, "Istio is asked to inject its proxy as a native sidecar."
    EVICTION_FORBIDDEN = "eviction-forbidden", Kind.CHANGE, "Cluster autoscaler and Karpenter may not evict the pod."

    # Warnings: the API server sends them to the client that creates the pod.
    REGISTRY_TROUBLE = (
        "registry-trouble",
        Kind.WARNING,
        "its image could not be looked up, so its command counts as unknown:",
    )
    FLAGS_MISSING = (
        "flags-missing",
        Kind.WARNING,
        "its command lacks flags that a drain needs; add",
    )
    MODE_DEFAULT = "mode-default", Kind.WARNING, "unknown command:"
    GRACE_KEPT = (
        "grace-kept",
        Kind.WARNING,
        "grace period kept, as a worker may ignore TERM; if it does not, set graceful-worker/mode: signal",
    )
    LOOP_IMPOSSIBLE = "loop-impossible", Kind.WARNING, "not looped:"
    OWN_LIMIT = "own-limit", Kind.WARNING, "its own time limit cuts messages off after"
    PROBE_OF_PROCESS_1 = (
        "probe-of-process-1",
        Kind.WARNING,
        "a probe checks process 1, so the command is left unchanged",
    )
    FLAG_TOO_HIGH = "flag-too-high", Kind.WARNING, "delays the drain; lower"
    OWN_LOOP = "own-loop", Kind.WARNING, "the shell script has its own loop; remove it unless it ends by itself"
    NEVER_RETURNS = "never-returns", Kind.WARNING, "this worker never exits by itself, so loop mode hangs"
    FRAMEWORK_CAUTION = "framework-caution", Kind.WARNING, "beware:"
    HOOK_KEPT = (
        "hook-kept",
        Kind.WARNING,
        "no kill file: only the stop signal ends it, and sidecars wait at most 5 s, as preStop is",
    )
    SIDECAR_HOOK_KEPT = (
        "sidecar-hook-kept",
        Kind.WARNING,
        "does not wait for the workers: this kind of preStop hook cannot be chained:",
    )
    MESH_KEPT = "mesh-kept", Kind.WARNING, "the pod asks for Istio, so it stays; better set annotation"
    SIDECAR_WITHOUT_SHELL = "sidecar-without-shell", Kind.WARNING, "its image has no shell for a hook; use"


class Finding(msgspec.Struct, frozen=True, gc=False):
    """One statement about a pod: the reason, the container it applies to, and the details."""

    reason: Reason
    container: str = ""
    detail: str = ""

    def __str__(self) -> str:
        """Format it as one line: `container NAME: sentence (detail)`; a warning's sentence ends with the detail."""
        where = f"container {self.container}: " if self.container else ""
        if self.reason.kind is Kind.WARNING:
            return f"{where}{self.reason.sentence} {self.detail}".rstrip()
        return f"{where}{self.reason.sentence}{self.detail and f' ({self.detail})'}"
