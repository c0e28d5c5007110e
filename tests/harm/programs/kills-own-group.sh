#!/bin/sh
# Forwards TERM to the process group that it leads as process 1, and waits: as process 1 it survives its own signal.
trap 'trap - TERM; kill -TERM -$$; wait' TERM
"$@" &
wait
