"""A node without Kubernetes: takes pods as the API server stores them, and runs and ends them as the kubelet does.

What is as on a real node: every container is one of an OCI runtime (crun), with a mount, PID, IPC and UTS namespace of
its own (with `shareProcessNamespace: true` one PID namespace for the pod) and a cgroup; the shared emptyDir is mounted
at its path; `$(NAME)` and `$$` are expanded; environment, working directory, user, groups, capabilities and a read-only
root are as the pod says. An image may be a root folder, of which every container has a copy. A pod ends by all preStop
hooks at once, each followed by the stop signal to its container's first process; the grace period counts from the
beginning of all this, SIGKILL comes at its end. A liveness probe that fails ends one container in the same way, with
the probe's own grace period, and it starts again on the same volumes. Init containers run one after the other before
the containers; native sidecars start in their place among these, and end after the containers. Out of memory is SIGKILL
to all of a container.

What is left out: registries, and all other images (their root file system is this machine's, and what an `Image` mounts
into it), the pod's network (it is the host's) and its /dev/shm (every container has its own), resource limits, probes
other than exec liveness probes, postStart hooks, lifecycle handlers other than exec and sleep, volumes other than
emptyDir, hostPath and images, Services (only their variables), and the kubelet's own slowness: its reaction times of up
to a second (PLEG) make every number on a real node larger by so much.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/, and killContainer() in
https://github.com/kubernetes/kubernetes/blob/master/pkg/kubelet/kuberuntime/kuberuntime_container.go
"""
