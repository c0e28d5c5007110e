"""The fields of a pod that decisions read, typed and validated; all other fields stay unread and untouched."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from webhook.core.refusal import quoted

JsonObject = dict[str, Any]

# A name that Kubernetes would not accept must not become part of a path in the pod.
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z")]
Argv = list[str] | None


class Malformed(ValueError):
    """The object is no pod of the documented shape; the message says where and what was expected."""


class Exec(msgspec.Struct):
    """An exec handler."""

    command: Argv = None


class Handler(msgspec.Struct):
    """A lifecycle handler or the action of a probe: which of the kinds it is."""

    exec: Exec | None = None
    http_get: JsonObject | None = msgspec.field(default=None, name="httpGet")
    tcp_socket: JsonObject | None = msgspec.field(default=None, name="tcpSocket")
    sleep: JsonObject | None = None


class Probe(Handler):
    """A probe; its grace period, in seconds, is the pod's where it has none."""

    grpc: JsonObject | None = None
    grace: int | None = msgspec.field(default=None, name="terminationGracePeriodSeconds")


class Lifecycle(msgspec.Struct):
    """What runs at a container's start and end, and the signal that ends it (Kubernetes 1.33 and later)."""

    pre_stop: Handler | None = msgspec.field(default=None, name="preStop")
    stop_signal: str | None = msgspec.field(default=None, name="stopSignal")


class VolumeMount(msgspec.Struct):
    """Where a volume appears in a container."""

    name: str
    mount_path: str = msgspec.field(name="mountPath")
    read_only: bool | None = msgspec.field(default=None, name="readOnly")


class Container(msgspec.Struct):
    """A container; `restart_policy` is set on native sidecars only."""

    name: Name
    image: str | None = None
    command: Argv = None
    args: Argv = None
    ports: list[JsonObject] | None = None
    lifecycle: Lifecycle | None = None
    liveness: Probe | None = msgspec.field(default=None, name="livenessProbe")
    readiness: Probe | None = msgspec.field(default=None, name="readinessProbe")
    startup: Probe | None = msgspec.field(default=None, name="startupProbe")
    mounts: list[VolumeMount] | None = msgspec.field(default=None, name="volumeMounts")
    restart_policy: str | None = msgspec.field(default=None, name="restartPolicy")


class Volume(msgspec.Struct):
    """A volume; of its kinds only the shared one matters."""

    name: str
    empty_dir: JsonObject | UnsetType | None = msgspec.field(default=UNSET, name="emptyDir")


class OperatingSystem(msgspec.Struct):
    """The operating system that the pod declares."""

    name: str | None = None


class Spec(msgspec.Struct):
    """A pod's specification."""

    containers: Annotated[list[Container], msgspec.Meta(min_length=1)]
    init_containers: list[Container] | None = msgspec.field(default=None, name="initContainers")
    volumes: list[Volume] | None = None
    grace: int | None = msgspec.field(default=None, name="terminationGracePeriodSeconds")
    restart_policy: str | None = msgspec.field(default=None, name="restartPolicy")
    os: OperatingSystem | None = None
    node_selector: dict[str, str] | None = msgspec.field(default=None, name="nodeSelector")


class Metadata(msgspec.Struct):
    """A pod's labels and annotations."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Pod(msgspec.Struct):
    """A pod, or the template of one."""

    spec: Spec
    metadata: Metadata | None = None

    @property
    def labels(self) -> dict[str, str]:
        """The labels; empty where there are none."""
        return (self.metadata and self.metadata.labels) or {}

    @property
    def annotations(self) -> dict[str, str]:
        """The annotations; empty where there are none."""
        return (self.metadata and self.metadata.annotations) or {}


def read_pod(raw: JsonObject) -> Pod:
    """Read a pod from JSON.

    Raises:
        Malformed: a field that is read here is missing or of the wrong type.

    """
    try:
        pod = msgspec.convert(raw, Pod)
    except msgspec.ValidationError as error:
        raise Malformed(_unquoted(raw) or str(error).replace("`$.", "`")) from None
    names: set[str] = set()
    for container in (*pod.spec.containers, *(pod.spec.init_containers or ())):
        if container.name in names:
            raise Malformed(f"Two containers are named {container.name!r}")
        names.add(container.name)
    return pod


def _unquoted(raw: Any) -> str:
    """Say which label or annotation is no string: in YAML, numbers and booleans need quotes there."""
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    for field in ("labels", "annotations"):
        values = metadata.get(field) if isinstance(metadata, dict) else None
        for key, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, (bool, int, float)):
                return f"metadata.{field}: {quoted(str(key))[1:-1]} is a number or a boolean; write its value in quotes"
    return ""
