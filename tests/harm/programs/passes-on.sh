#!/bin/sh
# An entrypoint that forwards TERM to its child, as in many hand-written scripts.
trap 'kill -TERM "$child"' TERM
"$@" &
child=$!
wait "$child"
wait "$child"
