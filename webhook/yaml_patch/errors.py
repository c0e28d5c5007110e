"""Everything that is raised here; what JSON Patch itself forbids is raised by `jsonpatch`.

ValueError
└── YamlPatchError
├── InvalidYaml           the text cannot be read
├── UnsupportedOperation  an operation is none that text can take, or its value is not JSON
└── Unwritable            no YAML was found that means the patched data
"""

from __future__ import annotations


class YamlPatchError(ValueError):
    """A text cannot be read or changed."""


class InvalidYaml(YamlPatchError):
    """The text is not YAML that has one meaning as JSON; the message says where and why."""

    def __init__(self, line: int, column: int, problem: str) -> None:
        super().__init__(f"line {line + 1}, column {column + 1}: {problem}")
        self.line, self.column, self.problem = line, column, problem


class UnsupportedOperation(YamlPatchError):
    """An operation is none of add, replace, remove and move, leaves nothing, or has a value that is not JSON."""


class Unwritable(YamlPatchError):
    """The patched data cannot be written as YAML."""
