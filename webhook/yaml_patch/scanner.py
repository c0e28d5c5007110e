"""ruamel.yaml's scanner, made to accept what go-yaml accepts."""

from __future__ import annotations

from typing import Any

from ruamel.yaml.scanner import Scanner


class LenientScanner(Scanner):
    """Allows tabs where go-yaml does, and avoids repeated lookahead."""

    _complete = -1

    def scan_to_next_token(self) -> None:
        """Skip blanks and comments; also tabs, except in the indentation."""
        super().scan_to_next_token()
        while self.reader.peek() == "\t" and not self.allow_simple_key:
            while self.reader.peek() in " \t":
                self.reader.forward()
            super().scan_to_next_token()

    def scan_block_scalar_indentation(self) -> tuple[list[str], int, Any]:
        """Read the leading empty lines of a block scalar, which may be indented less than its text."""
        breaks: list[str] = []
        indentation = 0
        end = self.reader.get_mark()
        while self.reader.peek() in " \r\n\x85\u2028\u2029":
            if self.reader.peek() == " ":
                self.reader.forward()
                indentation = max(indentation, self.reader.column)
            else:
                breaks.append(self.scan_line_break())
                end = self.reader.get_mark()
        return breaks, indentation, end

    def need_more_tokens(self) -> bool:
        """Tell whether the next token needs more input."""
        if self.tokens and self._complete == self.tokens_taken:
            return False
        needed = super().need_more_tokens()
        if not needed:
            self._complete = self.tokens_taken
        return needed

    def check_token(self, *choices: type) -> bool:
        """Tell whether the next token has one of these types."""
        while self.need_more_tokens():
            self.fetch_more_tokens()
        return bool(self.tokens) and (not choices or isinstance(self.tokens[0], choices))
