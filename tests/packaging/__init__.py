"""The Python package: what is in it, and how it works where the sources are not."""
