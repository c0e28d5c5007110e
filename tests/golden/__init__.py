"""Pods and what becomes of them, as files: README.md says how to add one."""
