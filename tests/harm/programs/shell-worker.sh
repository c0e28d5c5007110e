#!/bin/sh
# A worker that is a shell script, and handles TERM between two messages.
. /usr/local/lib/harm/worker.sh
witness w
stop=
trap 'stop=1; note heard TERM' TERM
while [ -z "$stop" ]; do
  message w
done
note left w
