#!/bin/sh
# Ends of the signal that it got, so that its parent sees it; as process 1 it survives that, and reaches its end.
trap 'trap - TERM; kill -TERM $$' TERM
"$@" &
wait
