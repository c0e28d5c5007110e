#!/bin/sh
# A typical sidecar: a server that exits at once when it gets TERM.
trap 'exit 0' TERM
while :; do
  sleep 3600 &
  wait "$!"
done
