# The arguments are in file 7, one per line: see hide-arguments.sh.
if [ "$#" -eq 0 ]; then
  IFS= read -r gw_bin <&7
  IFS= read -r gw_folder <&7
  IFS= read -r gw_settings <&7
  gw_newline=$(printf '\001')
  while IFS= read -r gw_word; do
    case $gw_word in
      *"$gw_newline"*)
        gw_word=$(
          # shellcheck disable=SC2030 # For this alone.
          PATH=${gw_bin:+${gw_bin%/}:}${PATH-}:/usr/bin:/bin
          printf %s. "$gw_word" | tr '\001' '\n'
        )
        gw_word=${gw_word%.}
        ;;
    esac
    set -- "$@" "$gw_word"
  done <&7
  exec 7<&-
fi
