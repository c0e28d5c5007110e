# True when the pod is already being deleted: the preStop hook was faster than this script, and the stop signal may have
# been lost, because process 1 ignores signals without a handler. The volume outlives the container: a kill file that is
# older than this process is from the previous container's drain, and so is one of the same tenth of a second if that
# container has released the sidecars. One from the future is older than the node's last start. Clock ticks are hundredths
# of a second since then: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
#
# Otherwise, this removes the file. The hook may create it at any moment, so an old one is renamed and read again, and
# one that was not there is not removed.
is_already_draining() {
  set -- "$gw_folder/kill_me" "$gw_folder/old"
  is_fresh "$1" && return
  [ -e "$1" ] && { mv -f "$1" "$2" || rm -f "$1"; } && is_fresh "$2" && mv -f "$2" "$1"
} 2>/dev/null
is_fresh() {
  gw_stamp='' gw_stat=''
  read -r gw_stamp <"$1" || return
  look_at_clock
  read -r gw_stat </proc/self/stat
  # shellcheck disable=SC2086 # The fields.
  set -- ${gw_stat##*) }
  [ "${20}" != 0 ] && [ "$gw_stamp" -ge "${20%?}" ] && [ "$gw_stamp" -le "$gw_now" ] || return 1
  [ "$gw_stamp" -ne "${20%?}" ] || [ ! -e "$gw_folder/kill_sidecar" ]
} 2>/dev/null
