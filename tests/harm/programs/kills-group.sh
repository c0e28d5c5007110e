#!/bin/sh
# Hands TERM on to its process group, and waits: as process 1 it survives its own signal.
trap 'trap - TERM; kill 0; wait' TERM
"$@" &
wait
