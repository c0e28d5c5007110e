"""What a release publishes, made and looked at here; only the publishing is left to the workflow."""
