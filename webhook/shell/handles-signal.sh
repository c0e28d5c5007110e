# True when process $1 handles signal number $2: it catches it, or waits for it with sigwait. While it waits, only its
# wait channel in the kernel shows that; while it works, or from another thread, it has the signal blocked. Shells
# briefly block all signals, so blocking only counts if it is seen twice. Also true if /proc does not show it. Sets
# gw_caught to the mask of the caught signals.
heeds() {
  # Some shells reopen a file for each line: if an earlier line has grown meanwhile, a line may be cut.
  for gw_try in 1 2 3 4 5; do
    read_masks "$1"
    [ -z "$gw_caught" ] || break
  done
  [ -n "$gw_caught" ] || return 0
  ! has_bit "$gw_caught" "$2" || return 0
  gw_where=
  read -r gw_where <"/proc/$1/wchan"
  case $gw_where in
    *sigtimedwait*) return 0 ;;
  esac
  has_bit "$gw_blocked" "$2" || return 1
  nap
  read_masks "$1"
  has_bit "$gw_blocked" "$2"
} 2>/dev/null
read_masks() {
  gw_caught='' gw_blocked=0
  while read -r gw_key gw_mask; do
    case $gw_key in
      SigBlk:) gw_blocked=$gw_mask ;;
      SigCgt:) gw_caught=$gw_mask ;;
    esac
  done <"/proc/$1/status"
}
# Half a mask, the lower digits, for shells with 32-bit arithmetic.
has_bit() {
  [ "$2" -le 32 ] || set -- "00000000${1%????????}" $(($2 - 32))
  return $((1 - (0x${1#????????} >> ($2 - 1) & 1)))
}
