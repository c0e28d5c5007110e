# Runs the worker in a loop until the pod is drained, and never signals it.
#
# SETTINGS   the seconds between two runs; after a comma, the number of the kubelet's stop signal if it is not TERM;
#            after a space, the file for the termination message

gw_draining=
gw_quick=0 gw_runs=0 gw_longest=0

# First, because PID 1 of a container ignores every signal without a handler: a stop signal before this line would be
# lost. Handlers, never `trap ''`: the worker would inherit an ignored signal.
trap 'gw_draining=1' TERM INT QUIT HUP
trap : WINCH USR1 USR2 ALRM
gw_stop=${gw_settings%% *}
case $gw_stop in *,*) trap 'gw_draining=1' "${gw_stop#*,}" ;; esac
# Whatever ends this shell (except SIGKILL), release the sidecars.
trap 'true >"$gw_folder/kill_sidecar"' EXIT

over() {
  [ -n "$gw_draining" ] || [ -e "$gw_folder/kill_me" ]
}

# The volume outlives the container: after a liveness restart, the files of the previous drain still exist.
prepare() {
  [ -d "$gw_folder" ] || (umask 022 && mkdir -p "$gw_folder") || return 1
  hold
  is_already_draining
  rm -f "$gw_folder/kill_sidecar" "$gw_folder/heartbeat"
  [ -w "$gw_folder" ]
}

# Sleeps second by second in the background: `wait` ends at once on a stop signal, and a kill file without a signal
# (while a slow hook is running) is noticed within a second.
pause() {
  gw_left=${gw_stop%,*}
  while [ "$gw_left" -gt 0 ] && ! over; do
    sleep 1 9>&- &
    wait "$!"
    gw_left=$((gw_left - 1))
  done
}

# Sets gw_took to the hundredths of a second since gw_begun, plus 100: without the last two digits, these are whole
# seconds, rounded up.
look() {
  gw_time=0.00
  read -r gw_time gw_rest </proc/uptime
  gw_took=$((${gw_time%.*} * 100 + 1${gw_time#*.} - gw_begun))
} 2>/dev/null

# Counts a run. No framework starts within a tenth of a second, so consecutive runs that short do no work. Without a
# pause, they would use a whole core.
slow_down() {
  look
  gw_runs=$((gw_runs + 1))
  gw_longest=$((gw_took > gw_longest ? gw_took : gw_longest))
  gw_quick=$((gw_took < 110 ? gw_quick + 1 : 0))
  [ "$gw_quick" -le 10 ] || sleep 0.5 2>/dev/null || sleep 1
}

if ! prepare; then
  echo "${0##*/}: cannot write to $gw_folder: only the stop signal will end this worker, its sidecars will not wait" >&2
  # Files left there by the previous drain must not end this loop.
  gw_folder=/dev/null
fi
# The run is in the foreground: it keeps stdin, the terminal and its signals, and the shell delays its own handlers
# until the run has ended.
until over; do
  gw_begun=100
  look
  gw_begun=$gw_took
  # A failed run gets no termination message: without one, the kubelet can use the end of the log.
  (become "$@" 9>&-) || exit "$?"
  slow_down
  pause
done
# The termination message, for `kubectl describe pod`: only if the kubelet has created the file and the worker has not
# written to it. Without a clock or a run, there is nothing to report. The kill file contains the start of the drain. A
# signal is only noticed after the run, so without the kill file, it is only known that the drain began during the run
# or later. Other processes may write to that file; an unexpected content must not end this shell.
(
  gw_file=${gw_settings#* } gw_most='up to ' gw_stamp=
  read -r gw_stamp <"$gw_folder/kill_me"
  [ -z "${gw_stamp##*[!0-9]*}" ] || gw_begun=${gw_stamp}0 gw_most=
  look
  [ ! -f "$gw_file" ] || [ -s "$gw_file" ] || [ "$gw_longest" -le 100 ] ||
    echo "${0##*/}: loop drained in $gw_most${gw_took%??} s; runs: $gw_runs, longest: ${gw_longest%??} s" >>"$gw_file"
) 2>/dev/null || :
