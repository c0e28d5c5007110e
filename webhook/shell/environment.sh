# Extends COMMAND so that it runs with the original environment of this shell. Shells drop names that are not
# identifiers (spring.rabbitmq.host), and add or change some (PWD, SHLVL, _).

if [ "$#" -gt 0 ] && gw_env=$(command -v env) && command -v tr >/dev/null; then
  gw_missing=' _ PWD OLDPWD SHLVL '
  gw_newline=$(printf '\001')
  set -f
  IFS='
'
  for gw_entry in $(tr '\000\n' '\n\001' <"/proc/$$/environ"); do
    gw_name=${gw_entry%%=*}
    case $gw_name in
      PATH) [ "$PATH" != "$gw_path" ] || continue ;;
      _ | PWD | OLDPWD | SHLVL) gw_missing="${gw_missing%% "$gw_name" *} ${gw_missing#* "$gw_name" }" ;;
      [!A-Za-z_]* | *[!A-Za-z0-9_]* | IFS | OPTIND | PPID | PS[124] | gw_*) ;;
      *) continue ;;
    esac
    case $gw_entry in
      *"$gw_newline"*) gw_entry=$(printf %s. "$gw_entry" | tr '\001' '\n') && gw_entry=${gw_entry%.} ;;
    esac
    set -- "$gw_entry" "$@"
  done
  IFS=' '
  for gw_name in $gw_missing; do
    set -- -u "$gw_name" "$@"
  done
  unset IFS
  set +f
  set -- "$gw_env" "$@"
fi 2>/dev/null

# Executes COMMAND, always a program and never a builtin or function of the same name, with this shell's original PATH,
# which is all that can be restored without env.
become() {
  [ -z "$gw_path" ] || PATH=$gw_path
  exec "$@"
}
