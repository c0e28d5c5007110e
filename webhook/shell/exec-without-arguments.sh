if [ -n "$gw_hidden" ]; then
  [ -z "$gw_path" ] || PATH=$gw_path
  # Some shells close their files when they execute another program, unless these are redirected again.
  exec "$@" 7<&7
fi
# This shell continues, with the words in its command line.
PATH=$gw_path
eval "$gw_main"
