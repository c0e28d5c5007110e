"""`graceful-worker status`: cases as files, and tests that do not fit into files."""
