"""The proof: real workers of real frameworks lose and repeat nothing, in whatever way Kubernetes ends their pods."""
