"""`graceful-worker status`: cases as files, and what does not fit into files."""
