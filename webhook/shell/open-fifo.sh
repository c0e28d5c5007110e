# Opens the FIFO that shows sidecars that this container is alive: its readers get an end of file as soon as the last
# process that holds it is gone. It is opened for reading and writing, because that never waits for the other side. It
# may exist already, or another script of this container may create it at the same moment.
hold() {
  mkfifo -m 666 "$gw_folder/alive"
  [ -p "$gw_folder/alive" ] && exec 9<>"$gw_folder/alive"
} 2>/dev/null
