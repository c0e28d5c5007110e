#!/bin/sh
# Kills itself with the signal that it got, so that its parent sees it; as process 1 it survives that, and exits at the end.
trap 'trap - TERM; kill -TERM $$' TERM
"$@" &
wait
