# Finds and stops the workers below a command whose first process is not the worker.

gw_shells='sh|ash|dash|bash|ksh|mksh|yash|zsh|busybox'

is_among() {
  case "|$2|" in
    *"|$1|"*) return 0 ;;
    *) return 1 ;;
  esac
}

# True when the words $1 follow each other in the words after it; the first may have a path.
has_words() {
  gw_words=$1
  shift
  for gw_word in "$@"; do
    case $gw_word in
      "${gw_words%% *}") ;;
      *"/${gw_words%% *}") [ "$gw_words" = "$gw_look" ] || continue ;;
      *) continue ;;
    esac
    case $gw_words in
      *' '*) gw_words=${gw_words#* } ;;
      *) return 0 ;;
    esac
  done
  return 1
}

# True when process $1 looks like the worker; $2 tells whether it is below the command. Sets gw_unsure if it may be a
# launcher.
is_target() {
  gw_unsure=
  gw_line=$(tr '\000' '\n' <"/proc/$1/cmdline")
  [ -n "$gw_line" ] || return 1
  gw_below=$2
  IFS='
'
  # shellcheck disable=SC2086 # One argument a line.
  set -- $gw_line
  unset IFS
  gw_first=${1%% *}
  is_among "${gw_first##*/}" "$gw_shells|$gw_launchers" && return 1
  # A launcher that is a script: `node /usr/bin/npx-cli.js`.
  gw_second=${2-} && gw_second=${gw_second##*/} && gw_second=${gw_second%.*js}
  [ -z "$gw_second" ] || ! is_among "${gw_second%-cli}" "$gw_launchers" || return 1
  if is_among "${gw_first##*/}" "$gw_unknown" || is_among "${gw_second:--}" "$gw_unknown"; then
    gw_unsure=1
  fi
  gw_left="$gw_looks|"
  while [ -n "$gw_left" ]; do
    gw_look=${gw_left%%"|"*}
    gw_left=${gw_left#*"|"}
    case $gw_look in
      '*') [ -z "$gw_below" ] || return 0 ;;
      =*)
        # shellcheck disable=SC2254 # A pattern.
        case $gw_line in
          ${gw_look#=}) return 0 ;;
        esac
        ;;
      *) has_words "$gw_look" "$@" && return 0 ;;
    esac
  done
  return 1
}

# Sets gw_all to the processes of the container, each with a colon and its parent.
list_processes() {
  gw_all=' '
  set +f
  set -- /proc/[0-9]*
  set -f
  for gw_process in "$@"; do
    gw_process=${gw_process#/proc/}
    ! lives "$gw_process" || gw_all="$gw_all$gw_process:$gw_parent "
  done
}

# Sets gw_parent to the parent that process $1 had in the listing.
parent_of() {
  gw_parent=${gw_all#* "$1":}
  [ "$gw_parent" != "$gw_all" ] || gw_parent=0
  gw_parent=${gw_parent%% *}
}

# Sets gw_chain to process $1 and its ancestors, up to the command or process 1.
climb() {
  gw_chain=" $1 " gw_above=$1
  while [ "$gw_above" -gt 1 ] && [ "$gw_above" -ne "$gw_child" ]; do
    parent_of "$gw_above"
    gw_above=$gw_parent
    gw_chain="$gw_chain$gw_above "
  done
}

# Sets gw_found to the topmost processes that look like the worker: below the command, or adopted by process 1 if that
# is this shell. Hooks and probes have no parent in the container. A launcher only counts if there is no other match,
# for example a command that executes another one in its own process; then it counts permanently.
find_targets() {
  list_processes
  gw_candidates=' ' gw_launching=' '
  for gw_pair in $gw_all; do
    climb "${gw_pair%:*}"
    case $gw_above in
      "$gw_child") is_target "${gw_pair%:*}" below ;;
      "$$") is_target "${gw_pair%:*}" '' ;;
      *) false ;;
    esac || continue
    if [ -n "$gw_unsure" ]; then
      gw_launching="$gw_launching${gw_pair%:*} "
    else
      gw_candidates="$gw_candidates${gw_pair%:*} "
    fi
  done
  # If a worker that it launched was signalled, it ends after the worker.
  gw_counts=
  [ "$gw_candidates$gw_signalled" != '  ' ] || gw_counts=1
  for gw_candidate in $gw_launching; do
    case $gw_signalled in
      *" $gw_candidate "*) gw_counts=1 ;;
    esac
  done
  [ -z "$gw_counts" ] || gw_candidates=$gw_launching
  gw_found=
  for gw_candidate in $gw_candidates; do
    climb "$gw_candidate"
    for gw_process in ${gw_chain#" $gw_candidate "}; do
      case $gw_candidates in
        *" $gw_process "*) continue 2 ;;
      esac
    done
    gw_found="$gw_found $gw_candidate"
  done
}

# A worker that forks a child for each message may drop the message that it is just fetching. A worker with a child is
# past that; one without any for a second most likely has nothing to fetch.
await_child() {
  gw_tries=10
  while lives "$1" && has_tries; do
    gw_forked=
    read -r gw_forked <"/proc/$1/task/$1/children"
    # shellcheck disable=SC2086
    set -- "$1" $gw_forked
    [ "$#" -le "$gw_busy" ] || return
    set -- "$1"
    nap
  done
}

# Nothing looks like the worker. If that stays so for a second, and the command has become another program that handles
# the received signal $1, it gets that, as process 1 would: a script may execute a server in place of the worker.
signal_other() {
  gw_alone=$((gw_alone + 1))
  [ "$gw_alone" -gt 10 ] && heeds "$gw_child" "$1" || return
  if (gw_looks='*' && is_target "$gw_child" below && [ -z "$gw_unsure" ]) && kill "-$1" "$gw_child"; then
    gw_signalled=" $gw_child "
  fi
}

# Signals the workers, and returns when they have ended, or at the deadline if none handles the signal. $1 is their
# signal, $2 the received one.
drain_targets() {
  gw_signalled=' ' gw_before='' gw_turn=0 gw_alone=0
  while :; do
    if [ $((gw_turn % 5)) -eq 0 ] && ! is_late; then
      find_targets
      gw_before=${gw_before:-$gw_all}
      signal_found "$1"
    fi
    gw_turn=$((gw_turn + 1))
    if [ "$gw_signalled" != ' ' ]; then
      has_living || break
    elif [ -n "$gw_loops" ] && [ -z "$gw_found" ] && is_between_runs; then
      # A sleeping process is awaited like one that started after the worker.
      gw_before=' '
      break
    else
      gw_turn=0
      ! is_late || return
      [ -n "$gw_found" ] || signal_other "$2"
    fi
    nap
  done
  [ "$gw_loops" = endless ] || see_off
}

is_shell() {
  gw_name=''
  read -r gw_name <"/proc/$1/comm"
  is_among "$gw_name" "$gw_shells"
}

# Stops the shell of an endless loop around process $1: a restarted worker could take a message before it is noticed.
# That shell may be the command, or a shell below it: after a launcher, in a pipeline, in parentheses.
stop_loop() {
  [ "$gw_loops" = endless ] || return
  climb "$1"
  [ "$gw_above" -eq "$gw_child" ] || return
  for gw_above in ${gw_chain#" $1 "}; do
    is_shell "$gw_above" || continue
    case $(tr '\000' '\n' <"/proc/$gw_above/cmdline") in
      *while* | *until*) kill -STOP "$gw_above" ;;
    esac
  done
}

# True when only sleeping processes are below the command: not before a loop's first run, nor if the worker cannot be
# recognised.
is_between_runs() {
  for gw_pair in $gw_all; do
    gw_process=${gw_pair%:*}
    climb "$gw_process"
    [ "$gw_above" -eq "$gw_child" ] && [ "$gw_process" -ne "$gw_child" ] || continue
    gw_name='sleep'
    read -r gw_name <"/proc/$gw_process/comm"
    [ "$gw_name" = sleep ] || return 1
  done
}

# Once for each process: after a second TERM, RQ, Celery and others drop the current message. If all signalled processes
# have ended, the remaining one is a worker restarted by a loop. Signal 0 is none: the run ends by itself.
signal_found() {
  for gw_process in $gw_found; do
    case $gw_signalled in
      *" $gw_process "*) continue ;;
    esac
    [ "$gw_signalled" = ' ' ] || has_living || return
    [ "$1" -eq 0 ] || heeds "$gw_process" "$1" || continue
    [ "$gw_busy" -eq 0 ] || await_child "$gw_process"
    stop_loop "$gw_process"
    ! kill "-$1" "$gw_process" || gw_signalled="$gw_signalled$gw_process "
  done
}

# True when a signalled worker has not ended.
has_living() {
  for gw_each in $gw_signalled; do
    ! lives "$gw_each" || return 0
  done
  return 1
}

# The workers have ended. Commands after them in a shell script may run if they start within a second; this may be a
# pause in a loop, and commands after the loop. They have what is left of the pod's original grace period, but a second
# at least, so that the exit code is theirs. Shells alone end by themselves, which takes longer than a second on a busy
# node. Other processes beside the worker, and a restarted worker, are not awaited.
see_off() {
  leave_time 10
  gw_tries=10
  while lives "$gw_child" && ! is_late && has_tries; do
    find_targets
    for gw_process in $gw_found; do
      case $gw_signalled in
        *" $gw_process "*) ;;
        *) return ;;
      esac
    done
    gw_waits=1
    for gw_pair in $gw_all; do
      climb "${gw_pair%:*}"
      [ "$gw_above" -eq "$gw_child" ] || continue
      case $gw_before in
        *" $gw_pair "*) is_shell "${gw_pair%:*}" || gw_waits= ;;
        *) gw_waits=1 && break ;;
      esac
    done
    [ -z "$gw_waits" ] || gw_tries=10
    nap
  done
}
