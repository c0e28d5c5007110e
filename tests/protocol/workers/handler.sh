# A worker written in shell, with a handler: `handler.sh JOURNAL SIGNAL`. Tells when a program that it runs is signalled.
stop=
trap 'stop=1; echo "0 heard $2" >>"$1"' "$2"
echo '0 ready' >>"$1"
until [ "$stop" ]; do
  sleep 0.02 || echo '0 child got it' >>"$1"
done
exit 7
