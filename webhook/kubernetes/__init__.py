"""The Kubernetes API as a client sees it: kubeconfig, requests, pages, selectors, and the progress of rollouts."""
