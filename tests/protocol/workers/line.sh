# One run, one line of standard input: `line.sh FILE`. Fails at the end of the input, so that the loop ends.
IFS= read -r line || exit 3
printf '%s\n' "$line" >>"$1"
