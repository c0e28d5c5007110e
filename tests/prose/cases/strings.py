"""Finds docstrings, comments and sentences; nobody hides there."""

NAMES = ("anew", "whoever-is-there", "for ever")
"""An attribute's documentation, written anew."""


def say(name: str) -> str:
    # A comment about somebody
    # goes on for whoever reads it.
    text = f"the pod {name} is for whoever made it"
    # prose: keep: this word is the subject
    other = "this sentence says anew what was said"
    return f"{text} and {other}"  # trailing, ought to count
