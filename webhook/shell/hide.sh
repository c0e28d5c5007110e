if [ -n "$gw_hidden" ]; then
  [ -z "$gw_path" ] || PATH=$gw_path
  # Some shells close what they have opened when they turn into another program, unless it is said anew.
  exec "$@" 7<&7
fi
# This shell goes on, with the words in its command line.
PATH=$gw_path
eval "$gw_main"
