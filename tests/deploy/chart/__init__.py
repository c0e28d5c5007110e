"""The Helm chart: its templates are written from the kustomize base, and both install the same."""
