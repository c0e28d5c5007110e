"""The scripts that run inside the pods."""
