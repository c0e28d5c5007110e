# shellcheck disable=SC2031 # Nothing is lost.
gw_path=${PATH-}
PATH=$gw_path:/usr/bin:/bin
# Next to an injected shell, there are its own programs.
[ -z "$gw_bin" ] || PATH=${gw_bin%/}:$PATH
