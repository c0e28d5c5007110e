#!/bin/sh
# preStop hook of a worker: creates the kill file, then runs the hook that the pod had before.
#
#   sh -c THIS graceful-worker FOLDER [HOOK ARGUMENT...]
#
# The kill file comes first, so that neither failure nor slowness of the other hook keeps the loop running.

gw_bin=${0%graceful-worker}
gw_folder=$1
shift

umask 022
[ -d "$gw_folder" ] || "${gw_bin}mkdir" -p "$gw_folder"
true >"$gw_folder/kill_me"
gw_created=$?

# Sidecars must notice when this container is killed while it drains (SIGKILL, out of memory): then nobody writes
# kill_sidecar, and this process, which dies with the container, stops beating. No standard streams: the runtime would
# wait for them to close before it calls the hook finished (mksh and yash keep copies of what is redirected from outside).
(
  exec </dev/null >/dev/null 2>&1
  gw_beat=1
  while [ ! -e "$gw_folder/kill_sidecar" ]; do
    echo "$gw_beat" >"$gw_folder/heartbeat"
    gw_beat=$((1 - gw_beat))
    "${gw_bin}sleep" 5 || exit
  done
) &

[ "$#" -eq 0 ] && exit "$gw_created"
exec "$@"
