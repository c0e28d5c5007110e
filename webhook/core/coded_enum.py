"""Enums whose members have a code and facts: reasons, outcomes, diagnostics."""

from __future__ import annotations

from enum import Enum
from typing import Self


class CodedEnum(Enum):
    """An enum whose values are codes for machines.

    A member is written as its code and a value for each attribute that its class declares, in that order. Missing ones
    at the end are empty strings.
    """

    code: str
    """The same as `value`, but faster to read: Enum puts a descriptor before that, and a pod has twenty reasons."""

    def __new__(cls, code: str, *facts: object) -> Self:
        """Make the code the member's value."""
        member = object.__new__(cls)
        member._value_ = member.code = code
        names = tuple(cls.__annotations__)
        for name, fact in zip(names, facts + ("",) * (len(names) - len(facts)), strict=True):
            setattr(member, name, fact)
        return member
