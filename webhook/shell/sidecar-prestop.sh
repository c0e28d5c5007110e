# preStop hook of a sidecar: waits until the workers have ended, then runs the hook that the pod had before.
#
# FOLDER     this sidecar's own, for what stands between it and the kubelet; empty where nothing does
# SETTINGS   the folders of the workers, separated by spaces; behind a semicolon, the seconds that the hook of before has
#
# The kubelet runs this hook when the pod ends, and also when this sidecar alone fails its liveness probe. It lets go
#   at once        when the last worker's container has ended: nobody holds its FIFO any longer;
#   within 5 s     when no worker drains: the pod lives on, only this sidecar restarts;
#   after 20 s     without a heartbeat, where there is no FIFO.

# True when the hook of the worker in folder $1 has run for this end of the pod, and not for a liveness restart before. The
# kubelet starts all hooks at once; for one that began earlier than two seconds ago, the patience below is enough.
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
    # For reading and writing first, as that never waits for somebody who writes; then for reading alone.
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
if [ -n "$gw_folder" ]; then
  [ -d "$gw_folder" ] || (umask 022 && mkdir -p "$gw_folder")
  echo "$gw_now" >"$gw_folder/kill_me"
fi
while ! all_drain && [ $((gw_now - gw_started)) -lt 40 ]; do
  nap
  look_at_clock
done
for gw_worker in ${gw_settings%;*}; do
  [ ! -e "$gw_worker/kill_me" ] || await_worker "$gw_worker"
done
# How the wait has ended is no failure of this hook.
true
