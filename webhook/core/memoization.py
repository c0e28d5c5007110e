"""Results of pure functions, kept for the next pod that is like an earlier one in what they hang on."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import msgspec

MOST = 512
"""Results that are kept of each function: a cluster has few workers and sidecars, and each in many pods."""
LONGEST = 4096
"""Bytes of arguments worth keeping a result for, so that nobody's long commands fill the memory."""

Arguments = TypeVar("Arguments", bound=msgspec.Struct)
Result = TypeVar("Result")


def memoized(arguments: type[Arguments]) -> Callable[[Callable[[Arguments], Result]], Callable[[Arguments], Result]]:
    """Keep the results of a function by its arguments, a struct, written as text.

    The function gets what is read from that text again, so nothing but the text can change its result.
    """
    # A script of ours is a str of its own type.
    write = msgspec.json.Encoder(enc_hook=str).encode
    read = msgspec.json.Decoder(arguments).decode

    def memoize(function: Callable[[Arguments], Result]) -> Callable[[Arguments], Result]:
        @lru_cache(MOST)
        def known(text: bytes) -> Result:
            return function(read(text))

        def ask(given: Arguments) -> Result:
            try:
                text = write(given)
            except UnicodeEncodeError:  # half of a surrogate pair, by an escape in YAML
                return function(given)
            return known(text) if len(text) <= LONGEST else function(given)

        ask.__doc__ = function.__doc__
        return ask

    return memoize
