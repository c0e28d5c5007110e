# Opens the FIFO by which sidecars know that this container lives: whoever reads it gets an end of file as soon as the
# last process that holds it is gone. For reading and writing, because that never waits for the other side.
hold() {
  [ -p "$gw_folder/alive" ] || mkfifo -m 666 "$gw_folder/alive" || return
  exec 9<>"$gw_folder/alive"
} 2>/dev/null
