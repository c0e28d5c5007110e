#!/bin/sh
# An entrypoint that passes TERM on to its child, as many write it by hand.
trap 'kill -TERM "$child"' TERM
"$@" &
child=$!
wait "$child"
wait "$child"
