#!/bin/sh
# A worker that is a shell script and handles no signal.
. /usr/local/lib/harm/worker.sh
witness w
while true; do
  message w
done
