# Parent process of a command that may not handle a stop signal, or whose first process is not the worker.
#
# SETTINGS   fields, separated by semicolons:
#   the pod's original grace period, in seconds: a process that ignores signals is killed after it, as without the parent
#   how to recognise the worker, as alternatives separated by |: consecutive words of its command line, or =PATTERN for
#     its whole title, or * for any descendant that is neither a shell nor a launcher; empty: the worker is the command
#   launchers that look like the worker, because their command line contains the worker's, separated by |
#   those of them that are unknown: such a process is the worker itself if no descendant looks like the worker
#   the number of the worker's signal; empty: the received one
#   how many children the worker has while it processes a message; 0: not significant
#   `endless` if a loop always restarts the worker and does nothing else after it; `loops` if the loop may do something
#     else, or end; else empty
#   the number of the kubelet's stop signal, if it is not TERM
#
# As process 1, a program survives every signal without a handler; as a child, it would die. So a signal is only
# forwarded to a process that handles it.

gw_rest=$gw_settings
take() {
  gw_taken=${gw_rest%%;*}
  gw_rest=${gw_rest#*;}
}
take && gw_grace=$gw_taken
take && gw_looks=$gw_taken
take && gw_launchers=$gw_taken
take && gw_unknown=$gw_taken
take && gw_signal=$gw_taken
take && gw_busy=$gw_taken
take && gw_loops=$gw_taken
gw_stop=${gw_rest#"$gw_loops"}
gw_child='' gw_drains=0 gw_signalled=' '

# Starts the command, and sets gw_child. A shell starts background processes with INT and QUIT ignored, and only bash
# can undo that; with a foreground process, it cannot react to signals. So the command is started in the foreground of a
# shell whose own parent is killed at once: this shell becomes a child of process 1, along with the command.
start() {
  # shellcheck disable=SC2094 # A FIFO.
  exec 3<&0 4>&1 5>&2 8<>"$gw_folder/ended" 6<"$gw_folder/ended" 2>/dev/null
  (
    {
      # The shell's message about a command killed by a signal must not appear in the log.
      exec 7>"$gw_folder/ended" 6<&- 8<&-
      handle_all
      (
        read -r gw_child gw_rest </proc/self/stat
        echo "$gw_child" >&7
        become "$@" <&3 >&4 2>&5 3<&- 4>&- 5>&- 7>&- 9>&-
      )
      echo "$?" >&7
    } | {
      look_at self
      kill -9 "$gw_parent"
    }
    # Without a following command, mksh, ksh and yash start the pipeline from this shell itself.
    :
  )
  exec 2>&5 3<&- 4>&- 5>&- 8<&-
  until read -r gw_child <&6 || [ -z "$gw_interrupted" ]; do
    gw_early=$gw_interrupted gw_interrupted=
  done
}

# Reads how the command ended from the shell above it, or a request to exit.
start_reader() {
  (
    handle_all
    gw_code='' gw_survived=
    while [ -z "$gw_code" ]; do
      gw_interrupted=
      read -r gw_code <&6 || [ -n "$gw_interrupted" ] || gw_code=137
      case $gw_code in
        -*) gw_survived=$gw_code gw_code='' ;;
      esac
    done
    [ -z "$gw_survived" ] || await_orphans "$gw_survived"
    exit "$gw_code"
  ) 9>&- &
  gw_awaited=$!
}

# For images without mkfifo, and read-only volumes.
start_in_background() {
  exec 3<&0
  (become "$@" <&3 3<&- 9>&-) &
  gw_child=$! gw_awaited=$!
  exec 3<&-
  # Before exec, it seems to handle everything that this shell handles, and loses it.
  await_program
}

has_tries() {
  gw_tries=$((gw_tries - 1))
  [ "$gw_tries" -ge 0 ]
}

# Sets gw_line to the first line of the words of process $1; yash stops at the first word, and returns a failure.
read_words() {
  gw_line=''
  read -r gw_line <"/proc/$1/cmdline" || [ -n "$gw_line" ]
}

# Waits until the command has been executed and is no longer a copy of this shell, which still has its handlers. An
# applet run by the shell itself keeps the words of this shell forever.
await_program() {
  read_words $$
  gw_own=$gw_line gw_tries=30
  while read_words "$gw_child" && [ "$gw_line" = "$gw_own" ] && has_tries; do
    nap
  done
} 2>/dev/null

# Waits until the command has ended, or an exit is requested, and exits like the command. A signal interrupts `wait`; in
# bash, also one whose handler has already run. So a status only counts if the process was gone before, or if there is
# nothing left to wait for: 127.
await_end() {
  gw_code=127 gw_gone=
  until [ -n "$gw_gone" ]; do
    kill -0 "$gw_awaited" 2>/dev/null || gw_gone=1
    wait "$gw_awaited" 2>/dev/null
    gw_status=$?
    [ "$gw_status" -ne 127 ] || break
    gw_code=$gw_status
  done
  exit "$gw_code"
}

receive() {
  case $1 in
    15 | "$gw_stop") : ;;
    10 | 12 | 14 | 20) false ;;
    # Without a kill file, not the end of the pod, but a signal sent to process 1.
    *) [ -e "$gw_folder/kill_me" ] ;;
  esac || {
    forward "$1" &
    return
  }
  # Counted in one command: bash may run this function again between any two.
  set -- "$1" $((gw_drains += 1))
  if [ "$2" -eq 1 ]; then
    drain "$1" &
  elif [ -z "$gw_looks$gw_signal" ]; then
    forward "$1" &
  fi
}

# Sets gw_state, gw_parent and gw_session of process $1, and gw_end to how it ended if it is a zombie: field 52.
look_at() {
  gw_state='' gw_parent=0 gw_session=0 gw_end=0 gw_stat=''
  read -r gw_stat <"/proc/$1/stat" || return
  # The name in parentheses may contain spaces; the fields follow it.
  gw_stat=${gw_stat##*) }
  gw_state=${gw_stat%% *} gw_end=${gw_stat##* } gw_stat=${gw_stat#* }
  gw_parent=${gw_stat%% *} gw_stat=${gw_stat#* * }
  gw_session=${gw_stat%% *}
} 2>/dev/null

lives() {
  look_at "$1" && case $gw_state in '' | Z | X) false ;; esac
}

# Forwards signal $1 to the processes that handle it: the workers, or the command itself.
forward() {
  handle_all
  set -f
  gw_found=
  [ -z "$gw_looks" ] || find_targets
  for gw_process in ${gw_found:-$gw_child}; do
    ! heeds "$gw_process" "$1" || kill "-$1" "$gw_process"
  done
} 9>&- 2>/dev/null

# Exits: the kernel ends the rest of the container. If the command has ended by itself, its own exit code is used.
leave() {
  if lives "$gw_child"; then
    # Without the FIFO, this would be a file without a reader.
    { [ -p "$gw_folder/ended" ] && echo 137 >"$gw_folder/ended"; } || kill -9 "$gw_child"
  fi
  exit
}

# The original grace period counts from the deletion, which the hook has recorded; but $1 tenths of a second are left.
set_deadline() {
  look_at_clock
  gw_until=$gw_now
  read -r gw_until <"$gw_folder/kill_me"
  gw_until=$((${gw_until:-$gw_now} + 10 * gw_grace))
  leave_time "$1"
} 2>/dev/null

# Extends the deadline so that $1 tenths of a second are left.
leave_time() {
  look_at_clock
  [ "$gw_until" -ge $((gw_now + $1)) ] || gw_until=$((gw_now + $1))
}

# The pod is being deleted. Processes that ignore signals get the original grace period. However long the hook took, the
# kubelet gives two seconds after its signal, in which a worker has to be found.
drain() {
  handle_all
  set -f
  set -- "${gw_signal:-$1}" "$1"
  if [ -n "$gw_looks" ]; then
    set_deadline 20
    drain_targets "$@"
    leave
  fi
  set_deadline 0
  until heeds "$gw_child" "$1"; do
    ! is_late || leave
    nap
  done
  signal_command "$1"
} 9>&- 2>/dev/null

# Some scripts forward the signal to their process group, die from it themselves (unlike as process 1), and would then
# wait for the others. How a process ended is only visible until its parent has reaped it, so the parent is stopped
# meanwhile. Afterwards, `exit 143` would look the same.
signal_command() {
  lives "$gw_child" || return
  gw_above=$gw_parent gw_tries=100
  if [ "$gw_above" -eq "$$" ] || [ "$gw_above" -le 1 ]; then
    kill "-$1" "$gw_child"
    return
  fi
  kill -STOP "$gw_above"
  # Usually at once.
  while look_at "$gw_above" && [ "$gw_state" != T ] && has_tries; do :; done
  kill "-$1" "$gw_child"
  # A script may take its time before it forwards the signal.
  set_deadline 20
  while lives "$gw_child" && ! is_late; do
    nap
  done
  case "$gw_state $gw_end" in
    'Z 1' | 'Z 2' | 'Z 3' | 'Z 1'[0245]) echo "-$gw_end" >"$gw_folder/ended" ;;
  esac
  kill -CONT "$gw_above"
}

# The command has died from signal $1, which it would have survived as process 1. The remaining processes that handle
# the signal may run as long as the pod's original grace period. Each gets the signal once from here: npm and others die
# without forwarding it.
await_orphans() {
  set_deadline 20
  gw_signalled=' ' gw_waits=1
  while [ -n "$gw_waits" ] && ! is_late; do
    gw_waits=
    for gw_process in /proc/[0-9]*; do
      gw_process=${gw_process#/proc/}
      ! is_orphan "$gw_process" || signal_orphan "$1"
    done
    [ -z "$gw_waits" ] || nap
  done
} 2>/dev/null

is_orphan() {
  lives "$1" && [ "$gw_session" -eq "$gw_child" ] && { [ "$gw_parent" -eq "$$" ] || [ "$gw_parent" -eq 1 ]; }
}

signal_orphan() {
  case $gw_signalled in
    *" $gw_process "*) ;;
    *)
      heeds "$gw_process" "${1#-}" || return
      kill "$1" "$gw_process"
      gw_signalled="$gw_signalled$gw_process "
      ;;
  esac
  gw_waits=1
}

# First, because signals without a handler are lost on process 1. Until the command runs, signals are remembered.
gw_early='' gw_interrupted=
gw_signals="$gw_signals $gw_stop"
handle_all
[ -d "$gw_folder" ] || (umask 022 && mkdir -p "$gw_folder")
hold
# As if the stop signal, which may have been lost, had arrived. Only for a known worker, which gets no second one from the
# kubelet; another command may not expect two.
if is_already_draining && [ -n "$gw_looks" ]; then
  gw_early=15
fi
# The volume outlives the container: after a liveness restart, the files of the previous drain still exist.
rm -f "$gw_folder/kill_sidecar" "$gw_folder/heartbeat" "$gw_folder/ended"
trap 'true >"$gw_folder/kill_sidecar"' EXIT
# In its own session, like process 1: a script may signal the process group that it leads. A terminal stays with
# its original session.
if [ ! -t 0 ] && gw_setsid=$(command -v setsid); then
  set -- "$gw_setsid" "$@"
fi
if mkfifo -m 600 "$gw_folder/ended" 2>/dev/null; then
  start "$@"
  start_reader
else
  start_in_background "$@"
fi
for gw_number in $gw_signals; do
  # shellcheck disable=SC2064 # As it is now.
  trap "receive $gw_number" "$gw_number"
done
gw_early=${gw_interrupted:-$gw_early}
if [ -n "$gw_early" ]; then
  await_program
  receive "$gw_early"
fi
await_end
