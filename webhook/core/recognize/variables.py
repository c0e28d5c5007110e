"""References to environment variables in a command line: `$(NAME)`, which the kubelet replaces by the variable's value.

See third_party/forked/golang/expansion/expand.go in Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

_MARK = "$("
# `$$` is an escaped `$`, so that `$$(NAME)` does not refer to a variable.
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
_LONGEST = 256
"""Words longer than this, in characters, are not expanded, nor to more than this: a hostile pod must not take long."""
_MOST_WORDS = 64
"""How many words of a command line are expanded."""


def referenced_in(words: Iterable[str]) -> set[str]:
    """Return the names of the variables that words refer to."""
    return {name for word in words if _is_expandable(word) for name in _REFERENCE.findall(word)} - {""}


def has_reference(words: Iterable[str]) -> bool:
    """Tell whether a word may refer to a variable."""
    return any(_MARK in word and (len(word) > _LONGEST or referenced_in([word])) for word in words)


def expand_known(words: Sequence[str], variables: Mapping[str, str | None]) -> Sequence[str]:
    """Replace references as far as the values are known, which are None where something else provides them.

    A value that refers to another variable counts as unknown.
    """
    if not any(_MARK in word for word in words):
        return words
    known = {
        name: value
        for name, value in variables.items()
        if value is not None and "$" not in value and len(value) <= _LONGEST
    }
    return [*(_expand_word(word, known) for word in words[:_MOST_WORDS]), *words[_MOST_WORDS:]]


def _expand_word(word: str, known: Mapping[str, str]) -> str:
    if not _is_expandable(word):
        return word
    expanded = _REFERENCE.sub(lambda found: known.get(found[1], found[0]) if found[1] else found[0], word)
    return expanded if len(expanded) <= _LONGEST else word


def _is_expandable(word: str) -> bool:
    return _MARK in word and len(word) <= _LONGEST
