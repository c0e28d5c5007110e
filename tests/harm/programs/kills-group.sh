#!/bin/sh
# Forwards TERM to its process group, and waits: as process 1 it survives its own signal.
trap 'trap - TERM; kill 0; wait' TERM
"$@" &
wait
