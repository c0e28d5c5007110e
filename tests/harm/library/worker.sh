# The common part of the cases' workers that are shell scripts: see worker.py.

note() {
  echo "$*" >>/journal/journal
}

witness() {
  cat "/proc/$$/environ" >"/journal/$1.environ"
  # Not with a program: the shell may still block the signals that it blocks while it starts a program.
  while read -r line; do echo "$line"; done <"/proc/$$/status" >"/journal/$1.status"
  cat /proc/1/cmdline >"/journal/$1.first"
}

# A message in the foreground of this shell, which handles a signal only after the current sleep has ended.
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
