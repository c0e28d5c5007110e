"""Tests in a real cluster: patched against unpatched pods, the proof's scenarios, how drains end: `make e2e-cluster`.

KUBECONFIG     the cluster, which must be able to run pods with a hostPath volume
E2E_PYTHON     an image with python3 and a shell, such as python:3.13: run by the pods compared with unpatched ones
E2E_BUSYBOX    an image of busybox: one of these pods runs it
E2E_BROKER     an image with redis-server, such as redis:7
E2E_WORKERS    workers of tests/proof/workers and an image for each that has the framework's programs on its PATH,
               such as "plain=python:3.13 celery=registry.example.com/celery:5"
E2E_SCENARIOS  run only these scenarios; by default all that need no access to the node
E2E_WEBHOOK    "installed": the webhook is installed in the cluster; by default the tests run it on 127.0.0.1, which the
               API server must be able to reach
E2E_INSTALL    "yes": install the webhook by `kubectl apply -k deploy/`, test and remove it; then by Helm, if it is
               unpacked (make helm); the image graceful-worker of this version must be on the nodes, and
               graceful-worker must not be installed yet
E2E_KUBELET_PID
               the process id of the only node's kubelet, on this machine: tests pause it, and remove the node
E2E_START      "yes": follow docs/start/kind.md word for word, with Helm and with kustomize; the image must be on the
               nodes as for E2E_INSTALL, helm on PATH, and the nodes pull python:3.13-alpine

Every pod of a scenario runs on one node, because the ledger is a file there. All images must be available already.
The tests create everything in namespaces of their own, and remove it afterwards.
"""
