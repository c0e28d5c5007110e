# Installs handlers, so that a `pkill -f` of the worker does not end these scripts, whose command line contains the
# worker's. A started program gets the default, not a handler. By number, as some signals have no name. The handlers
# distinguish an interrupted `read`, and the signal, from the end of a file: not all shells do.
gw_signals='1 2 3 10 12 14 15 20 28 37'
handle_all() {
  for gw_number in $gw_signals; do
    # shellcheck disable=SC2064 # As it is now.
    trap "gw_interrupted=$gw_number" "$gw_number"
  done
}
