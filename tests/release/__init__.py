"""Everything that a release publishes, built and checked here; only the publishing is left to the workflow."""
