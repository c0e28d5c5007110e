#!/bin/sh
# preStop hook of a sidecar: waits until the workers have ended, then runs the hook that the pod had before.
#
#   sh -c THIS graceful-worker "FOLDER [FOLDER...]" [HOOK ARGUMENT...]
#
# The kubelet runs this hook when the pod ends, and also when this sidecar alone fails its liveness probe. It lets go
#   at once        when every worker has written kill_sidecar;
#   within 5 s     when no worker drains: the pod lives on, only this sidecar restarts;
#   after 20 s     without a heartbeat of the workers that drain: they were killed.

gw_bin=${0%graceful-worker}
gw_workers=$1
shift

if "${gw_bin}sleep" 0.2 2>/dev/null; then
  gw_nap=0.2 gw_per_second=5 gw_limit=4.3
else
  gw_nap=1 gw_per_second=1 gw_limit=4
fi
gw_patience=$((5 * gw_per_second))
# Naps take longer on a busy node (25 of them 5.3 s instead of 5.0, measured), so a process keeps the time. No standard streams:
# the runtime would wait for them to close before it calls the hook finished.
(
  exec </dev/null >/dev/null 2>&1
  exec "${gw_bin}sleep" "$gw_limit"
) &
gw_timer=$!
gw_silence=0
gw_heard=

# Sets working (a worker has not ended), draining (one of these has its kill file) and heartbeats.
look() {
  gw_working='' gw_draining='' gw_heartbeats=''
  for gw_folder in $gw_workers; do
    [ -e "$gw_folder/kill_sidecar" ] && continue
    gw_working=1
    [ -e "$gw_folder/kill_me" ] || continue
    gw_draining=1
    gw_beat=
    read -r gw_beat 2>/dev/null <"$gw_folder/heartbeat"
    gw_heartbeats=$gw_heartbeats/$gw_beat
  done
}

while look; [ -n "$gw_working" ]; do
  if [ -z "$gw_draining" ]; then
    gw_patience=$((gw_patience - 1))
    [ "$gw_patience" -gt 0 ] || break
    kill -0 "$gw_timer" 2>/dev/null || break
  elif [ "$gw_heartbeats" = "$gw_heard" ]; then
    gw_silence=$((gw_silence + 1))
    [ "$gw_silence" -lt $((20 * gw_per_second)) ] || break
  else
    gw_heard=$gw_heartbeats
    gw_silence=0
  fi
  "${gw_bin}sleep" "$gw_nap"
done

kill "$gw_timer" 2>/dev/null
[ "$#" -eq 0 ] && exit 0
exec "$@"
