"""Keeps the library's talk down."""


class QuietLog:
    """Takes the library's log lines, which repeat with each attempt; what matters comes as errors."""

    def log(self, _level: int, _text: str, *_arguments: object) -> None:
        """Take one line; the library calls this."""
