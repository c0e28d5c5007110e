"""Memoizes pure functions by what their results depend on, so that similar pods share them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import msgspec

MOST = 512
"""Results kept per function: a cluster has few different workers and sidecars, each in many pods."""
LONGEST = 4096
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
        @lru_cache(MOST)
        def known(text: bytes) -> Result:
            return function(read(text))

        def ask(given: Arguments) -> Result:
            try:
                text = write(given)
            except UnicodeEncodeError:  # half of a surrogate pair, from an escape in YAML
                return function(given)
            return known(text) if len(text) <= LONGEST else function(given)

        ask.__doc__ = function.__doc__
        return ask

    return memoize
