"""Pods and their injections, as files: README.md explains how to add one."""
