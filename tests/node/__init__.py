"""A node without Kubernetes: it takes pods in the form in which the API server stores them, and acts like the kubelet.

Like on a real node: an OCI runtime (crun) runs every container, with its own mount, PID, IPC and UTS namespaces (with
`shareProcessNamespace: true`, one PID namespace per pod) and a cgroup; the shared emptyDir is mounted at its path;
`$(NAME)` and `$$` are expanded; environment, working directory, user, groups, capabilities and a read-only root are as
in the pod. An image may be a root folder, of which every container has a copy. When a pod ends, all preStop hooks run
at once, each followed by the stop signal to its container's first process; the grace period starts with the hooks, and
SIGKILL follows at its end. A failed liveness probe ends one container in the same way, with the probe's own grace
period, and the container starts again on the same volumes. Init containers run one after the other before the
containers; native sidecars start in the order of the init containers, and end after the containers. Out of memory is
SIGKILL to all processes of a container.

Left out: registries, and all other images (their root file system is this machine's, with the mounts of an `Image`),
the pod's network (it is the host's) and its /dev/shm (every container has its own), resource limits, probes other than
exec liveness probes, postStart hooks, lifecycle handlers other than exec and sleep, volumes other than emptyDir,
hostPath and images, Services (except their variables), and the kubelet's own delays: its reaction times of up to a
second (PLEG) increase every duration on a real node by that much.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/, and killContainer() in
https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/kuberuntime_container.go
"""
