"""The Helm chart: its templates are generated from the kustomize base, and both install the same objects."""
