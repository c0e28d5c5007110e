"""The fields of a pod that decisions and patches need, typed and validated; other fields are neither read nor changed.

Where patches may write, UNSET distinguishes a missing field from null. Both are falsy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from webhook.core.annotations import CONTAINER_NAME, LONGEST_CONTAINER_NAME, annotation_of
from webhook.core.errors import Malformed
from webhook.core.formatting import quoted
from webhook.core.recognize.frameworks import VARIABLES
from webhook.core.recognize.image_hints import NO_HINTS, ImageHints, hints_of
from webhook.core.recognize.variables import expand_known, referenced_in
from webhook.core.third_party_keys import is_read
from webhook.core.wrapper import MOUNT_PATH, VOLUME

JsonObject = dict[str, Any]
DEFAULT_GRACE = 30
"""Kubernetes' default grace period, in seconds."""
DEFAULT_MESSAGE_PATH = "/dev/termination-log"
"""Kubernetes' default terminationMessagePath."""

MOST_CONTAINERS = 250
"""More than twice as many as a node has pods: https://kubernetes.io/docs/setup/best-practices/cluster-large/."""
_NOT_JSON = "\x7f"
"""Begins the names of the fields that `drop_unread` fills in: no manifest has such a key."""
_COMMAND = annotation_of("command")
_is_name = lru_cache(1024)(CONTAINER_NAME.fullmatch)
Argv = list[str] | UnsetType | None
StringMap = dict[str, str] | UnsetType | None


class Part(msgspec.Struct, omit_defaults=True, gc=False):
    """A part of a pod.

    Defaults are omitted because pods are compared as text: 1.5 µs instead of 2. Data read from JSON has no cycles, so
    garbage collection is off: 17.2 µs to read a review instead of 19.
    """


class AnyObject(Part):
    """An object of which only the presence matters."""


class NamedObject(Part):
    """An object of which only the name matters."""

    name: str | None = None


class Exec(Part):
    """An exec handler."""

    command: Argv = UNSET


class Handler(Part):
    """A lifecycle handler or probe action of any kind."""

    exec: Exec | UnsetType | None = UNSET
    http_get: AnyObject | None = msgspec.field(default=None, name="httpGet")
    tcp_socket: AnyObject | None = msgspec.field(default=None, name="tcpSocket")
    sleep: AnyObject | None = None


class Probe(Handler):
    """A probe; without its own grace period (in seconds), the pod's applies."""

    grpc: AnyObject | None = None
    grace: int | UnsetType | None = msgspec.field(default=UNSET, name="terminationGracePeriodSeconds")


class Lifecycle(Part):
    """A container's lifecycle hooks, and its stop signal (Kubernetes 1.33 and later)."""

    pre_stop: Handler | UnsetType | None = msgspec.field(default=UNSET, name="preStop")
    stop_signal: str | None = msgspec.field(default=None, name="stopSignal")


class VolumeMount(Part):
    """A volume mount."""

    name: str
    mount_path: str = msgspec.field(name="mountPath")
    read_only: bool | None = msgspec.field(default=None, name="readOnly")

    @property
    def path(self) -> str:
        """Where it appears."""
        return self.mount_path.rstrip("/")


class Variable(Part):
    """An environment variable; its value is empty if it is missing or comes from elsewhere (valueFrom)."""

    name: str
    value: str | None = None


class Capabilities(Part):
    """Capabilities added to or dropped from the runtime's default."""

    add: list[str] | None = None
    drop: list[str] | None = None


class SecurityContext(Part):
    """The pod's default user for its containers."""

    user: int | None = msgspec.field(default=None, name="runAsUser")
    run_as_non_root: bool | None = msgspec.field(default=None, name="runAsNonRoot")
    windows: dict[str, Any] | None = msgspec.field(default=None, name="windowsOptions")


class ContainerSecurity(SecurityContext):
    """A container's user and privileges; the pod's apply where it sets none."""

    privileged: bool | None = None
    capabilities: Capabilities | None = None


class Container(Part):
    """A container; its `restart_policy` overrides the pod's, and makes init containers native sidecars."""

    name: str
    image: str | None = None
    command: Argv = UNSET
    args: Argv = UNSET
    ports: list[AnyObject] | None = None
    tty: bool | None = None
    lifecycle: Lifecycle | UnsetType | None = UNSET
    liveness: Probe | None = msgspec.field(default=None, name="livenessProbe")
    readiness: Probe | None = msgspec.field(default=None, name="readinessProbe")
    startup: Probe | None = msgspec.field(default=None, name="startupProbe")
    mounts: list[VolumeMount] | UnsetType | None = msgspec.field(default=UNSET, name="volumeMounts")
    restart_policy: str | UnsetType | None = msgspec.field(default=UNSET, name="restartPolicy")
    env: list[Variable] | None = None
    security: ContainerSecurity | None = msgspec.field(default=None, name="securityContext")
    message_path: str | None = msgspec.field(default=DEFAULT_MESSAGE_PATH, name="terminationMessagePath")
    hints: ImageHints = msgspec.field(default=NO_HINTS, name=f"{_NOT_JSON}hints")
    """What the name of its image says. Decisions read this; the name itself is in the pod's `images`."""

    def of_processes(self) -> Container:
        """Return a copy without fields that do not affect its processes."""
        return replace(self, hints=NO_HINTS, ports=None, mounts=UNSET)

    @property
    def argv(self) -> list[str]:
        """The command line, as far as the manifest contains it."""
        return [*(self.command or ()), *(self.args or ())]

    def expand(self, words: Sequence[str]) -> Sequence[str]:
        """Replace references to variables whose values the manifest has; for decisions, never for messages."""
        return expand_known(words, {variable.name: variable.value for variable in self.env}) if self.env else words

    @property
    def probes(self) -> list[Probe]:
        """The container's probes."""
        return [probe for probe in (self.liveness, self.readiness, self.startup) if probe]

    @property
    def pre_stop(self) -> Handler | UnsetType | None:
        """Its preStop hook."""
        return self.lifecycle.pre_stop if self.lifecycle else None

    @property
    def stop_signal(self) -> str:
        """Its own stop signal without SIG; empty if it has none."""
        return ((self.lifecycle and self.lifecycle.stop_signal) or "").removeprefix("SIG")

    @property
    def hook_command(self) -> list[str]:
        """The exec command of its preStop hook; else empty."""
        hook = self.pre_stop
        return (hook and hook.exec and hook.exec.command) or []

    @property
    def unchainable_hook(self) -> str:
        """The kind of its preStop hook if that is not exec, so that it cannot be chained; else empty."""
        hook = self.pre_stop
        if not hook:
            return ""
        kinds = {"httpGet": hook.http_get, "tcpSocket": hook.tcp_socket, "sleep": hook.sleep}
        return next((name for name, action in kinds.items() if action is not None), "")

    @property
    def message_file(self) -> str:
        """The absolute path of its termination message file; the kubelet prepends a slash.

        See MakeAbsolutePath in pkg/volume/util/util.go.
        """
        return f"/{(self.message_path or DEFAULT_MESSAGE_PATH).lstrip('/')}"

    @property
    def is_native_sidecar(self) -> bool:
        """Whether an init container is a native sidecar, which the kubelet stops after the regular containers."""
        return self.restart_policy == "Always"


class EmptyDir(Part):
    """An emptyDir."""

    size_limit: Any = msgspec.field(default=UNSET, name="sizeLimit")


class Volume(Part):
    """A volume; only the kinds that graceful-worker uses are read."""

    name: str
    empty_dir: EmptyDir | UnsetType | None = msgspec.field(default=UNSET, name="emptyDir")
    image: AnyObject | None = None


class Requirement(Part):
    """A requirement on a node's label."""

    key: str
    operator: str
    values: list[str] | None = None


class NodeSelectorTerm(Part):
    """Requirements that must all be met."""

    expressions: list[Requirement] | None = msgspec.field(default=None, name="matchExpressions")


class NodeSelector(Part):
    """Terms of which at least one must match."""

    terms: list[NodeSelectorTerm] | None = msgspec.field(default=None, name="nodeSelectorTerms")


class NodeAffinity(Part):
    """The nodes on which the pod may run."""

    required: NodeSelector | None = msgspec.field(default=None, name="requiredDuringSchedulingIgnoredDuringExecution")


class Affinity(Part):
    """Scheduling constraints; only node affinity is read."""

    node: NodeAffinity | None = msgspec.field(default=None, name="nodeAffinity")


class Spec(Part):
    """A pod's specification."""

    containers: Annotated[list[Container], msgspec.Meta(min_length=1)]
    init_containers: list[Container] | UnsetType | None = msgspec.field(default=UNSET, name="initContainers")
    volumes: list[Volume] | UnsetType | None = UNSET
    grace: int | UnsetType | None = msgspec.field(default=UNSET, name="terminationGracePeriodSeconds")
    restart_policy: str | None = msgspec.field(default=None, name="restartPolicy")
    os: NamedObject | None = None
    node_selector: dict[str, str] | None = msgspec.field(default=None, name="nodeSelector")
    affinity: Affinity | None = None
    security: SecurityContext | None = msgspec.field(default=None, name="securityContext")
    service_account: str | None = msgspec.field(default=None, name="serviceAccountName")
    pull_secrets: list[NamedObject] | None = msgspec.field(default=None, name="imagePullSecrets")
    share_process_namespace: bool | None = msgspec.field(default=None, name="shareProcessNamespace")
    host_pid: bool | None = msgspec.field(default=None, name="hostPID")
    runtime_class: str | None = msgspec.field(default=None, name="runtimeClassName")
    priority_class: str | None = msgspec.field(default=None, name="priorityClassName")

    @property
    def container_lists(self) -> tuple[tuple[str, list[Container]], ...]:
        """The lists of containers by the names of their fields."""
        return ("containers", self.containers), ("initContainers", self.init_containers or [])

    @property
    def all_containers(self) -> list[Container]:
        """The regular containers, followed by the init containers."""
        return [*self.containers, *(self.init_containers or ())]


class Metadata(Part):
    """A pod's labels and annotations, and its name or generateName."""

    labels: StringMap = UNSET
    annotations: StringMap = UNSET
    name: Any = None
    generate_name: Any = msgspec.field(default=None, name="generateName")
    unread_bytes: int = msgspec.field(default=0, name=f"{_NOT_JSON}unreadBytes")
    """Bytes of the annotations that were left out: all annotations together have a limit."""


NO_METADATA = Metadata()


class Pod(Part):
    """A pod or pod template."""

    spec: Spec
    metadata: Metadata | UnsetType | None = UNSET
    images: dict[str, str] = msgspec.field(default_factory=dict, name=f"{_NOT_JSON}images")
    """The name of each container's image, for those who look images up; decisions read a container's `hints`."""

    @property
    def labels(self) -> dict[str, str]:
        """The labels; empty if there are none."""
        return (self.metadata or NO_METADATA).labels or {}

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations; empty if there are none."""
        return (self.metadata or NO_METADATA).annotations or {}


def read_pod(raw: JsonObject) -> Pod:
    """Read a pod from JSON.

    Raises:
        Malformed: a required field is missing, or a field has the wrong type.

    """
    try:
        pod = msgspec.convert(raw, Pod)
    except msgspec.ValidationError as error:
        raise Malformed(_find_unquoted_value(raw) or str(error).replace("`$.", "`")) from None
    drop_unread(pod)
    return pod


def check_names(pod: Pod) -> None:
    """Check the container names, which identify folders in the volume and fields in the patch.

    A name that Kubernetes does not accept must not become part of a path in the pod.

    Raises:
        Malformed: a name is not valid, or not unique.

    """
    names = [container.name for container in pod.spec.all_containers]
    for name in names:
        if len(name) > LONGEST_CONTAINER_NAME or not _is_name(name):
            raise Malformed(f"{quoted(name)} is not a valid container name; use a-z, 0-9 and -, at most 63 characters")
    if len(set(names)) < len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise Malformed(f"Two containers are named {twice!r}")


def drop_unread(pod: Pod) -> None:
    """Reduce a pod to what decisions and patches depend on, so that pods that are the same in this are equal.

    Dropped are labels and annotations of other programs, volumes and mounts that are not needed, and environment
    variables that neither the table nor a command mentions. Checksums, versions and volume names differ between
    releases or pods, and the values of variables may be secret. The name of an image is replaced by what it says.
    """
    metadata = pod.metadata
    if metadata and metadata.labels:
        metadata.labels = {key: value for key, value in metadata.labels.items() if is_read(key)}
    if metadata and metadata.annotations:
        annotations = metadata.annotations
        metadata.annotations = {key: value for key, value in annotations.items() if is_read(key)}
        metadata.unread_bytes = size_in_bytes(annotations) - size_in_bytes(metadata.annotations)
    if pod.spec.volumes:
        pod.spec.volumes = [volume for volume in pod.spec.volumes if volume.name.startswith(VOLUME)]
    containers = pod.spec.all_containers
    # A pod with more containers is refused, and hints for thousands of names would take seconds.
    has_hints = len(containers) <= MOST_CONTAINERS
    images: dict[str, str] = {}
    command = pod.annotations.get(_COMMAND, "")
    for container in containers:
        image = images[container.name] = container.image or ""
        container.hints = hints_of(image, container.name) if has_hints else NO_HINTS
        container.image = None
        if container.mounts:
            container.mounts = [mount for mount in container.mounts if mount.mount_path.startswith(MOUNT_PATH)]
        if container.env:
            words = [*(container.command or ()), *(container.args or ()), command]
            # Joined first: few commands refer to a variable.
            read = VARIABLES | referenced_in(words) if "$(" in " ".join(words) else VARIABLES
            container.env = [variable for variable in container.env if variable.name in read] or None
    pod.images = images


def size_in_bytes(texts: dict[str, str]) -> int:
    """Return the size of labels or annotations, keys and values together."""
    # Joined first: a quarter of the time of encoding one after the other.
    return len("".join([*texts, *texts.values()]).encode(errors="surrogatepass"))


def _find_unquoted_value(raw: Any) -> str:
    """Return which label or annotation is not a string: in YAML, numbers and booleans need quotes."""
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    for field in ("labels", "annotations"):
        values = metadata.get(field) if isinstance(metadata, dict) else None
        for key, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, (bool, int, float)):
                return f"metadata.{field}: {quoted(str(key))[1:-1]} is a number or a boolean; write its value in quotes"
    return ""
