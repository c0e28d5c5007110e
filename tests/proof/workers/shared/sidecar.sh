#!/bin/sh
# A sidecar as most are: a server that leaves at once when it gets TERM.
trap 'exit 0' TERM
while :; do
  sleep 3600 &
  wait "$!"
done
