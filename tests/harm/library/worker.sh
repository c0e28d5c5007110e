# What the workers of the cases have in common that are shell scripts: see worker.py.

note() {
  echo "$*" >>/journal/journal
}

witness() {
  cat "/proc/$$/environ" >"/journal/$1.environ"
  # Not by a program: the shell may not have put back yet the signals that it blocks while it starts one.
  while read -r line; do echo "$line"; done <"/proc/$$/status" >"/journal/$1.status"
  cat /proc/1/cmdline >"/journal/$1.first"
}

# A message in the foreground of this shell, which hears nothing before the nap that it waits for is over.
message() {
  looks=100
  [ -e /journal/deleted ] || looks=100000
  note "begin $1"
  while [ "$looks" -gt 0 ]; do
    [ "$looks" -gt 100 ] && [ -e /journal/release ] && break
    sleep 0.05
    looks=$((looks - 1))
  done
  note "end $1"
  : >/journal/ended
  echo "$1 has handled a message"
}
