# With handlers of their own, so that nobody's `pkill -f` of the worker ends these scripts, too: their command line has the
# worker's in it. A program that is started gets the default back, not a handler. By number, as some have no name.
# They tell a `read` that was interrupted, and by which signal, from the end of a file: not all shells do.
gw_signals='1 2 3 10 12 14 15 20 28 37'
handle_all() {
  for gw_number in $gw_signals; do
    # shellcheck disable=SC2064 # As it is now.
    trap "gw_interrupted=$gw_number" "$gw_number"
  done
}
