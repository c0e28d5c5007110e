"""Plans what a worker pod needs: signals, hooks, the shell, sidecars, the grace period, the mesh."""
