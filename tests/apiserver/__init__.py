"""The webhook behind a real API server, where there is one."""
