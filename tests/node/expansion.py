"""Expand a container's command like the kubelet does before it calls the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Expand `$(NAME)` and `$$` like `Expand` in k8s.io/kubernetes/third_party/forked/golang/expansion.

    A reference to a name that is not in the environment stays unchanged (`MappingFuncFor`).
    """
    result = []
    at = 0
    while at < len(text):
        here, after = text[at], text[at + 1 : at + 2]
        if here != "$" or not after:
            result.append(here)
            at += 1
        elif after == "(" and ")" in text[at:]:
            closer = text.index(")", at)
            name = text[at + 2 : closer]
            result.append(environment.get(name, f"$({name})"))
            at = closer + 1
        else:
            result.append("$" if after == "$" else here + after)
            at += 2
    return "".join(result)


def expand_all(words: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    return [expand(word, environment) for word in words]
