# preStop hook of a sidecar: waits until the workers have ended, then runs the container's own hook.
#
# FOLDER     this sidecar's own, for its parent process, which gets a kill file before this; empty if it has none
# SETTINGS   the folders of the workers, separated by spaces; after a semicolon, the seconds for the container's own hook
#
# The kubelet runs this hook when the pod ends, and also when this sidecar alone fails its liveness probe. It ends
#   at once        when the last worker's container has ended: no process holds its FIFO;
#   within 5 s     when no worker is draining: only this sidecar restarts;
#   after 20 s     without a heartbeat, if there is no FIFO.

# True when the hook of the worker in folder $1 has run for this end of the pod, not for an earlier liveness restart.
# The kubelet starts all hooks at the same time; if this one started more than two seconds later, the patience below is
# enough.
drains() {
  gw_stamp=
  read -r gw_stamp <"$1/kill_me"
  [ -e "$1/kill_sidecar" ] || [ "${gw_stamp:-0}" -ge $((gw_started - 20)) ]
} 2>/dev/null

all_drain() {
  for gw_worker in ${gw_settings%;*}; do
    drains "$gw_worker" || return
  done
}

await_worker() {
  [ ! -e "$1/kill_sidecar" ] || return
  if [ -p "$1/alive" ]; then
    # First for reading and writing, which never waits for a writer; then only for reading.
    # shellcheck disable=SC2094 # A FIFO.
    exec 8<>"$1/alive" 7<"$1/alive" 8>&-
    gw_interrupted=1
    while [ -n "$gw_interrupted" ]; do
      gw_interrupted=
      read -r gw_rest <&7
    done
    exec 7<&-
    return
  fi
  gw_silence=0 gw_heard=
  while [ ! -e "$1/kill_sidecar" ] && [ "$gw_silence" -lt 20 ]; do
    gw_beat=
    read -r gw_beat <"$1/heartbeat"
    [ "$gw_beat" = "$gw_heard" ] || gw_silence=0
    gw_heard=$gw_beat
    gw_silence=$((gw_silence + 1))
    sleep 1
  done
} 2>/dev/null

handle_all
look_at_clock
gw_started=$gw_now
while ! all_drain && [ $((gw_now - gw_started)) -lt 40 ]; do
  nap
  look_at_clock
done
for gw_worker in ${gw_settings%;*}; do
  [ ! -e "$gw_worker/kill_me" ] || await_worker "$gw_worker"
done
# However the wait ended, this hook does not fail.
true
