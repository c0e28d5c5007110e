# The words of COMMAND are in the command line of process 1. A search for workers by command line (`pgrep -f`) would
# find this shell and everything that it forks. So the shell executes another one without these words, which reads them
# from an unlinked file; gw_main is the script that it runs.
gw_hidden=
hide_words() {
  [ -d "$gw_folder" ] || (umask 022 && mkdir -p "$gw_folder") || return
  (umask 077 && printf '%s\0' "$gw_bin" "$gw_folder" "$gw_settings" "$@" | tr '\000\n' '\n\001' >"$gw_folder/words") &&
    exec 7<"$gw_folder/words" &&
    rm -f "$gw_folder/words"
} 2>/dev/null
gw_newline=$(printf '\001')
case $* in
  # It would be read as the end of a line.
  *"$gw_newline"*) ;;
  *)
    if gw_shell=$(tr '\000' '\n' <"/proc/$$/cmdline" | { read -r gw_word && echo "$gw_word"; }) && hide_words "$@"; then
      gw_hidden=1
      # shellcheck disable=SC2154 # It stands before this part.
      set -- "$gw_shell" -c "$gw_main" sh
    fi
    ;;
esac 2>/dev/null
