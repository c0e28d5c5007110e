# Runs the worker again and again until the pod is drained, and never signals it.
#
# SETTINGS   the seconds between two runs, and behind a space the file that takes the termination message

gw_draining=
gw_quick=0

# First of all: PID 1 of a container ignores every signal that it has no handler for, so a stop signal that came
# before this line would be lost. Handlers, never `trap ''`: the worker would inherit an ignored signal.
trap 'gw_draining=1' TERM INT QUIT HUP
trap : WINCH USR1 USR2 ALRM
# Whatever ends this shell (short of SIGKILL), the sidecars may go.
trap 'true >"$gw_folder/kill_sidecar"' EXIT

over() {
  [ -n "$gw_draining" ] || [ -e "$gw_folder/kill_me" ]
}

# The volume outlives the container: after a liveness restart the files of the drain before are still there.
# A hook that is faster than these lines loses its kill file here; its stop signal follows and finds the handler.
prepare() {
  [ -d "$gw_folder" ] || (umask 022 && mkdir -p "$gw_folder") || return 1
  rm -f "$gw_folder/kill_me" "$gw_folder/kill_sidecar" "$gw_folder/heartbeat"
  hold
  [ -w "$gw_folder" ]
}

# Seconds are slept one by one, in the background: `wait` ends at once when a stop signal comes, and a kill file
# without a signal (a slow hook behind it) is seen within a second.
pause() {
  gw_left=${gw_settings%% *}
  while [ "$gw_left" -gt 0 ] && ! over; do
    sleep 1 9>&- &
    wait "$!"
    gw_left=$((gw_left - 1))
  done
}

# Sets gw_hundredths to the time, in hundredths of a second.
look_at_hundredths() {
  gw_time=0.00
  read -r gw_time gw_rest </proc/uptime
  gw_hundredths=$((${gw_time%.*} * 100 + 1${gw_time#*.} - 100))
} 2>/dev/null

# No framework starts in a tenth of a second, so runs as short as that, one after the other, do no work. Without a pause
# they would take all of a core.
slow_down() {
  gw_begun=$gw_hundredths
  look_at_hundredths
  if [ $((gw_hundredths - gw_begun)) -ge 10 ]; then
    gw_quick=0
  elif [ "$gw_quick" -lt 10 ]; then
    gw_quick=$((gw_quick + 1))
  else
    sleep 0.5 2>/dev/null || sleep 1
  fi
}

if ! prepare; then
  echo "graceful-worker: cannot write to $gw_folder: only the stop signal will end this worker, its sidecars will not wait" >&2
  # What is left there of the drain before must not end this one.
  gw_folder=/dev/null
fi
# The run is in the foreground: it keeps stdin, the terminal and its signals, and the shell puts its own handlers off
# until the run has ended.
until over; do
  look_at_hundredths
  (become "$@" 9>&-) || exit "$?"
  slow_down
  pause
done
