# True when process $1 heeds signal number $2: it catches it, or waits for it, as whoever uses sigwait does. While it waits,
# only the place in the kernel tells; at work, or in another thread, it has the signal blocked. Shells block all signals
# for moments: so that counts only when it is so twice. Also true where /proc does not tell. Sets gw_caught to the mask of
# the signals that it catches.
heeds() {
  # Some shells read a file anew for each line: where a line before has become longer by then, theirs may be cut.
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
  gw_caught='' gw_blocked=0000000000000000
  while read -r gw_key gw_mask; do
    case $gw_key in
      SigBlk:) gw_blocked=$gw_mask ;;
      SigCgt:) gw_caught=$gw_mask ;;
    esac
  done <"/proc/$1/status"
}
# Half a mask, for shells that count with 32 bits.
has_bit() {
  if [ "$2" -gt 32 ]; then
    return $((1 - (0x${1%????????} >> ($2 - 33) & 1)))
  fi
  return $((1 - (0x${1#????????} >> ($2 - 1) & 1)))
}
