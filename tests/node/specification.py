"""Derive the kubelet's requests to the container runtime from a pod's spec."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.node.expansion import expand, expand_all
from tests.node.runtime import CAPABILITIES, ContainerSpec, Image, Mount

Json = dict[str, Any]
DEFAULT_GRACE = 30
"""Seconds: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination."""


@dataclass(frozen=True)
class PodSpecification:
    """A pod in the form in which the API server stores it, read for the node that runs it.

    `images` are the node's images by name, `image` replaces all others; `services` are the variables of the Services in
    the pod's namespace; `volumes` is the folder for its emptyDirs.
    """

    pod: Json
    image: Image
    services: Mapping[str, str]
    volumes: Path
    images: Mapping[str, Image] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.pod["metadata"]["name"])

    @property
    def spec(self) -> Json:
        spec: Json = self.pod["spec"]
        return spec

    @property
    def grace(self) -> int:
        """The grace period in seconds."""
        return int(self.spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE))

    @property
    def shares_processes(self) -> bool:
        return bool(self.spec.get("shareProcessNamespace"))

    def make_volumes(self) -> None:
        """Make the emptyDirs, which are writable for every user."""
        for volume in self.spec.get("volumes") or ():
            if "emptyDir" in volume:
                folder = self.volumes / volume["name"]
                folder.mkdir(parents=True)
                folder.chmod(0o777)

    def container(self, container: Json, pid_namespace: str = "") -> ContainerSpec:
        """Return what the runtime runs for a container: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/."""
        image = self.images.get(container.get("image", ""), self.image)
        environment = self._environment(container, image)
        pod_context = self.spec.get("securityContext") or {}
        context = pod_context | (container.get("securityContext") or {})
        drop = (context.get("capabilities") or {}).get("drop") or ()
        kept = [] if "ALL" in drop else [name for name in CAPABILITIES if name.removeprefix("CAP_") not in drop]
        groups = [*pod_context.get("supplementalGroups", ())]
        groups += [pod_context["fsGroup"]] if "fsGroup" in pod_context else []
        argv = [*container.get("command", ()), *container.get("args", ())]
        return ContainerSpec(
            argv=expand_all(argv, environment),
            environment=environment,
            mounts=[*image.mounts, *map(self._mount, container.get("volumeMounts") or ())],
            working_directory=container.get("workingDir") or image.working_directory,
            hostname=self.name,
            user=context.get("runAsUser", 0),
            group=context.get("runAsGroup", 0),
            groups=groups,
            capabilities=kept,
            read_only_root=bool(context.get("readOnlyRootFilesystem")),
            no_new_privileges=context.get("allowPrivilegeEscalation") is False,
            pid_namespace=pid_namespace,
            root=image.root,
        )

    def stop_signal(self, container: Json) -> signal.Signals:
        """Return the stop signal of a container: from the pod, else from its image, else TERM."""
        image = self.images.get(container.get("image", ""), self.image)
        return signal.Signals[(container.get("lifecycle") or {}).get("stopSignal") or image.stop_signal or "SIGTERM"]

    def _environment(self, container: Json, image: Image) -> dict[str, str]:
        """Merge the variables of the image, of Services, and of the container, which may refer to earlier ones.

        makeEnvironmentVariables() in https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kubelet_pods.go
        """
        own: dict[str, str] = {}
        for variable in container.get("env") or ():
            source = (variable.get("valueFrom") or {}).get("fieldRef")
            if source is not None:
                own[variable["name"]] = self._field(source["fieldPath"])
            else:
                own[variable["name"]] = expand(variable.get("value", ""), {**self.services, **own})
        return {**image.environment, "HOSTNAME": self.name, **self.services, **own}

    def _field(self, path: str) -> str:
        value: Any = self.pod
        for part in path.split("."):
            value = value[part]
        return str(value)

    def _mount(self, mount: Json) -> Mount:
        volume = next(volume for volume in self.spec["volumes"] if volume["name"] == mount["name"])
        if "emptyDir" in volume:
            source = self.volumes / volume["name"]
        elif "hostPath" in volume:
            source = Path(volume["hostPath"]["path"])
        elif "image" in volume:
            # https://kubernetes.io/docs/tasks/configure-pod-container/image-volumes/
            root = self.images[volume["image"]["reference"]].root
            assert root, "this machine's programs are no image volume"
            return Mount(root, mount["mountPath"], read_only=True)
        else:
            raise NotImplementedError(f"this node has emptyDir, hostPath and image volumes only, not {volume}")
        return Mount(source, mount["mountPath"], bool(mount.get("readOnly")))


def is_native_sidecar(container: Json) -> bool:
    """Return whether an init container is a native sidecar: https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/."""
    return container.get("restartPolicy") == "Always"


def hook_of(container: Json) -> Json | None:
    """Return a container's preStop hook."""
    hook: Json | None = (container.get("lifecycle") or {}).get("preStop")
    return hook
