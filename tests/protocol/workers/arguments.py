"""Write the arguments to a file: `arguments.py FILE [ARGUMENT...]`. Exits with an error, so that the loop ends."""

import json
import os
import sys

file, *arguments = sys.argv[1:]
with open(f"{file}.new", "w", encoding="ascii") as stream:
    json.dump([os.fsencode(argument).decode("latin-1") for argument in arguments], stream)
os.rename(f"{file}.new", file)
sys.exit(3)
