# Runs the worker again and again until the pod is drained, and never signals it.
#
# SETTINGS   the seconds between two runs, and behind a space the file that takes the termination message

gw_draining=
gw_quick=0 gw_runs=0 gw_longest=0

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

# Sets gw_took to the hundredths of a second since gw_begun, and 100 more: without its last two digits it is whole seconds,
# rounded up.
look() {
  gw_time=0.00
  read -r gw_time gw_rest </proc/uptime
  gw_took=$((${gw_time%.*} * 100 + 1${gw_time#*.} - gw_begun))
} 2>/dev/null

# Counts a run. No framework starts in a tenth of a second, so runs as short as that, one after the other, do no work.
# Without a pause they would take all of a core.
slow_down() {
  look
  gw_runs=$((gw_runs + 1))
  gw_longest=$((gw_took > gw_longest ? gw_took : gw_longest))
  gw_quick=$((gw_took < 110 ? gw_quick + 1 : 0))
  [ "$gw_quick" -le 10 ] || sleep 0.5 2>/dev/null || sleep 1
}

if ! prepare; then
  echo "${0##*/}: cannot write to $gw_folder: only the stop signal will end this worker, its sidecars will not wait" >&2
  # What is left there of the drain before must not end this one.
  gw_folder=/dev/null
fi
# The run is in the foreground: it keeps stdin, the terminal and its signals, and the shell puts its own handlers off
# until the run has ended.
until over; do
  gw_begun=100
  look
  gw_begun=$gw_took
  # One that fails leaves no message of ours: where there is none, the kubelet may take the end of the log.
  (become "$@" 9>&-) || exit "$?"
  slow_down
  pause
done
# The termination message, for `kubectl describe pod`: only where the kubelet has made the file, and the worker has written
# nothing to it. Without a clock, or a run, there is nothing to tell. The kill file says when the drain began; a signal is not
# heard before the end of the run, so without that file it is only known that the drain began in it, or later. Others may write
# to that file: over what stands there no other shell than this one ends.
(
  gw_file=${gw_settings#* } gw_most='up to ' gw_stamp=
  read -r gw_stamp <"$gw_folder/kill_me"
  [ -z "${gw_stamp##*[!0-9]*}" ] || gw_begun=${gw_stamp}0 gw_most=
  look
  [ ! -f "$gw_file" ] || [ -s "$gw_file" ] || [ "$gw_longest" -le 100 ] ||
    echo "${0##*/}: loop drained in $gw_most${gw_took%??} s; runs: $gw_runs, longest: ${gw_longest%??} s" >>"$gw_file"
) 2>/dev/null || :
