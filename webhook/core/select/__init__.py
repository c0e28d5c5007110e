"""Selects: whether a pod is a worker pod, and which of its containers are workers."""
