"""The proof: real workers of real frameworks lose and repeat no message, however Kubernetes ends their pods."""
