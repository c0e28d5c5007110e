"""In a real cluster: pods that are no worse than bare, the scenarios of the proof, how drains end: `make e2e-cluster`.

KUBECONFIG     the cluster, which must be able to run pods with a hostPath volume
E2E_PYTHON     an image with python3 and a shell, such as python:3.13: the pods that are compared with bare ones run it
E2E_BUSYBOX    an image of busybox: one of them runs that
E2E_BROKER     an image with redis-server, such as redis:7
E2E_WORKERS    workers of tests/proof/workers and an image for each that has the framework's programs on its PATH,
               such as "plain=python:3.13 celery=registry.example.com/celery:5"
E2E_SCENARIOS  only these scenarios; all that need no access to the node, by default
E2E_WEBHOOK    "installed": the webhook is installed in the cluster; by default the tests run it on 127.0.0.1, which the
               API server must be able to reach
E2E_INSTALL    "yes": install the webhook by `kubectl apply -k deploy/`, try that, and take it away again; then by Helm,
               where there is one (make helm); the image
               graceful-worker of this version must be on the nodes, and no graceful-worker be installed yet
E2E_KUBELET_PID
               the process id of the one node's kubelet, on this machine: tests let it stand still, and remove the node
E2E_START      "yes": follow docs/start/kind.md word for word, with Helm and with kustomize; the image must be on the
               nodes as for E2E_INSTALL, helm on PATH, and the nodes pull python:3.13-alpine

Every pod of a scenario runs on one node, because the ledger is a file there. All images must be available already.
Everything is made in namespaces of its own, and removed afterwards.
"""
