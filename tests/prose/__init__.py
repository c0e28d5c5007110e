"""The prose linter: `python -m tests.prose [PATH]...`; see the README here."""
