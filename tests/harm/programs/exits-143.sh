#!/bin/sh
# Ends as a shell does that TERM has ended, and its worker with it, which hears of nothing.
trap 'exit 143' TERM
"$@" &
wait
