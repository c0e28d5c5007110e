#!/bin/sh
# Runs the worker until the pod is drained, and never cuts a message short.
#
#   sh -c THIS graceful-worker FOLDER loop   SECONDS COMMAND [ARGUMENT...]
#   sh -c THIS graceful-worker FOLDER signal NAME[+child] COMMAND [ARGUMENT...]
#
# FOLDER   this container's folder in the shared volume
# loop     runs COMMAND again and again, SECONDS apart, until the kill file exists or a stop signal came
# signal   runs COMMAND once and passes it the signal NAME, once, when a stop signal comes; with +child, as soon as it
#          has a child, or a second later
#
# Needs mkdir, rm and sleep: in the image, or, where a shell was brought into the pod, beside that. Comments are left out
# of the copy that a pod carries. Every variable begins with gw_: assigning to one that came with the environment would
# change what the worker sees.

# $0 is graceful-worker, or that in the folder of a shell that was brought: then its own mkdir, rm and sleep are there.
gw_bin=${0%graceful-worker}
gw_folder=$1
gw_mode=$2
gw_setting=$3
shift 3

gw_draining=
gw_interrupted=1
gw_worker=
gw_passed=

# First of all: PID 1 of a container ignores every signal that it has no handler for, so a stop signal that came
# before this line would be lost. Handlers, never `trap ''`: the worker would inherit an ignored signal.
trap 'gw_draining=1 gw_interrupted=1; pass_on' TERM INT QUIT HUP
# Some images are stopped by these (Apache's by WINCH); but they have other meanings too, so the kill file must be there.
trap 'gw_interrupted=1; [ ! -e "$gw_kill_me" ] || pass_on' WINCH USR1 USR2
# Whatever ends this shell (short of SIGKILL), the sidecars may go.
trap 'true >"$gw_folder/kill_sidecar"' EXIT

over() {
  [ -n "$gw_draining" ] || [ -e "$gw_kill_me" ]
}

# The volume outlives the container: after a liveness restart the files of the drain before are still there.
# A hook that is faster than these lines loses its kill file here; its stop signal follows and finds the handler.
prepare() {
  [ -d "$gw_folder" ] || (umask 022 && "${gw_bin}mkdir" -p "$gw_folder") || return 1
  "${gw_bin}rm" -f "$gw_folder/kill_me" "$gw_folder/kill_sidecar" "$gw_folder/heartbeat"
}

# Seconds are slept one by one, in the background: `wait` ends at once when a stop signal comes, and a kill file
# without a signal (a slow hook behind it) is seen within a second.
pause() {
  gw_left=$gw_setting
  while [ "$gw_left" -gt 0 ] && ! over; do
    "${gw_bin}sleep" 1 &
    wait "$!"
    gw_left=$((gw_left - 1))
  done
}

# The run is in the foreground: it keeps stdin, the terminal and its signals, and the shell puts its own handlers off
# until the run has ended. `exec` in a subshell runs programs only, never a builtin or function of the same name.
loop() {
  until over; do
    (exec "$@") || exit "$?"
    pause
  done
}

# True when the signal is in the mask $2 (SigIgn: ignored, SigCgt: caught) of process $1.
in_mask() {
  gw_state='' gw_mask=''
  while read -r gw_field gw_value; do
    case $gw_field in
      State:) gw_state=$gw_value ;;
      "$2:") gw_mask=$gw_value && break ;;
    esac
  done <"/proc/$1/status"
  case $gw_signal$gw_mask in
    HUP*[13579bdf] | INT*[2367abef] | QUIT*[4567cdef]) return 0 ;;
    USR1*[2367abef]?? | USR2*[89abcdef]?? | TERM*[4567cdef]???) return 0 ;;
    *) return 1 ;;
  esac
}

# True when a shell has a handler of its own: then it is a worker. But bash has one for INT whenever it waits, and mksh,
# or bash with an EXIT trap, has them for all deadly signals, ALRM among them.
has_handler() {
  [ "$gw_signal" != INT ] && in_mask "$1" SigCgt || return 1
  case $gw_mask in
    *[2367abef]???) return 1 ;;
  esac
}

# True when process $1 only waits for its children: an init such as tini, or a shell.
waits_for_children() {
  read -r gw_name <"/proc/$1/comm"
  case $gw_name in
    tini | dumb-init | docker-init | catatonit | su | runuser | timeout) return 0 ;;
  esac
  ! has_handler "$1" || return 1
  for gw_program in /proc/self/exe /bin/sh /bin/bash /bin/busybox; do
    [ "/proc/$1/exe" -ef "$gw_program" ] && return 0
  done
  case $gw_name in
    sh | ash | dash | bash | ksh | mksh) return 0 ;;
    *) return 1 ;;
  esac
}

# True when a signal to process $1 would be lost, and the worker would work on until the grace period ends: a shell
# starts background processes with INT and QUIT ignored, which is so until the worker has installed its own handler;
# and the shell of a process that has just ended may have yet to start the worker.
is_deaf() {
  if in_mask "$1" SigIgn; then
    case $gw_kind in
      INT | QUIT) return 0 ;;
    esac
  fi
  [ "$gw_state" = "Z (zombie)" ] && [ "$1" != "$gw_worker" ]
}

# A worker that forks a child for each message may drop the one that it is just fetching when the signal comes. One that
# has a child is past that; one that gets none for a second most likely has nothing to fetch.
await_child() {
  gw_looks=20
  while [ "$gw_looks" -gt 0 ] && kill -0 "$1"; do
    gw_forked=
    read -r gw_forked <"/proc/$1/task/$1/children"
    [ -z "$gw_forked" ] || return 0
    in_mask "$1" SigIgn
    [ "$gw_state" != "Z (zombie)" ] || return 0
    gw_looks=$((gw_looks - 1))
    "${gw_bin}sleep" 0.05 || { "${gw_bin}sleep" 1 && gw_looks=0; }
  done
}

# Signals process $1, or, where that only waits, what it waits for: a shell would die of the signal and leave the worker
# behind, and dumb-init or timeout would pass it to a whole process group. A shell that waits for nothing but a sleep has
# no worker to leave behind, and ends by TERM. Sets gw_again where somebody may be left to signal.
send() {
  gw_kind=$gw_signal
  if waits_for_children "$1"; then
    gw_kind=TERM gw_children='' gw_busy=''
    read -r gw_children <"/proc/$1/task/$1/children"
    for gw_child in $gw_children; do
      read -r gw_name <"/proc/$gw_child/comm"
      [ "$gw_name" = sleep ] || gw_busy="$gw_busy $gw_child"
    done
    if [ -n "$gw_busy" ]; then
      for gw_child in $gw_busy; do
        send "$gw_child"
      done
      gw_again=1
      return
    fi
  fi
  case " $gw_passed " in
    *" $1 "*) return ;;
  esac
  [ -z "$gw_await" ] || await_child "$1"
  if ! is_deaf "$1" && kill -s "$gw_kind" "$1"; then
    gw_passed="$gw_passed $1"
  else
    gw_again=1
  fi
}

# A shell may start its worker only now: behind a migration, or when its broker answers at last.
keep_passing_on() {
  while [ -n "$gw_again" ] && kill -0 "$gw_worker"; do
    "${gw_bin}sleep" 0.2 || "${gw_bin}sleep" 1
    gw_again=
    send "$gw_worker"
  done
} 2>/dev/null

# Once to each process: the second TERM makes RQ, Celery and others drop the message at hand.
pass_on() {
  if [ -z "$gw_worker" ] || [ -n "$gw_passed" ]; then
    return
  fi
  gw_passed=to
  # The worker's process looks for this file before it becomes the worker: until then it has the handlers of this shell.
  [ -z "$gw_kill_me" ] || true >"$gw_kill_me"
  gw_again=
  send "$gw_worker"
  # In the background, so that the end of the worker is noticed at once.
  [ -z "$gw_again" ] || keep_passing_on &
} 2>/dev/null

# In the background, because the shell runs its handlers while it waits, but not while a foreground program runs.
once() {
  gw_signal=${gw_setting%+child}
  gw_await=${gw_setting#"$gw_signal"}
  over && exit 0
  exec 3<&0
  (over || exec "$@" <&3 3<&-) &
  gw_worker=$!
  exec 3<&-
  [ -z "$gw_draining" ] || pass_on
  gw_code=127
  while [ -n "$gw_interrupted" ]; do
    gw_interrupted=
    wait "$gw_worker"
    gw_status=$?
    [ "$gw_status" -eq 127 ] || gw_code=$gw_status
  done
  exit "$gw_code"
}

gw_kill_me=$gw_folder/kill_me
if ! prepare; then
  echo "graceful-worker: cannot write to $gw_folder: only the stop signal will end this worker, its sidecars will not wait" >&2
  gw_kill_me=
fi
case $gw_mode in
  loop) loop "$@" ;;
  signal) once "$@" ;;
esac
