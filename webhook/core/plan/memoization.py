"""Memoizes pure functions by what their results depend on, so that similar pods share them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

import msgspec

MOST_RESULTS = 512
"""Results kept per function: a cluster has few different workers and sidecars, each in many pods."""
LONGEST_ARGUMENTS = 4096
"""Maximum size of arguments to memoize, in bytes, so that long commands do not fill the memory."""

Arguments = TypeVar("Arguments", bound=msgspec.Struct)
Result = TypeVar("Result")


def memoized(arguments: type[Arguments]) -> Callable[[Callable[[Arguments], Result]], Callable[[Arguments], Result]]:
    """Memoize a function by its argument, a struct, serialised as text.

    The function gets the struct parsed from that text, so nothing but the text can affect its result.
    """
    # A script is a subclass of str.
    write = msgspec.json.Encoder(enc_hook=str).encode
    read = msgspec.json.Decoder(arguments).decode

    def memoize(function: Callable[[Arguments], Result]) -> Callable[[Arguments], Result]:
        @lru_cache(MOST_RESULTS)
        def remembered(text: bytes) -> Result:
            return function(read(text))

        @wraps(function)
        def memoized_function(argument: Arguments) -> Result:
            try:
                text = write(argument)
            except UnicodeEncodeError:  # half of a surrogate pair, from an escape in YAML
                return function(argument)
            return remembered(text) if len(text) <= LONGEST_ARGUMENTS else function(argument)

        return memoized_function

    return memoize
