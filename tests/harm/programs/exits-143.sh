#!/bin/sh
# Exits like a shell that TERM has killed; the worker gets no signal, and ends with the container.
trap 'exit 143' TERM
"$@" &
wait
