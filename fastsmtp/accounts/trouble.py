"""Trouble with what accounts are kept in, which lasts while the server goes on by what it knows."""

from collections.abc import Callable


class Trouble:
    """Told to ``event`` when it begins, and not again as long as it is the same."""

    def __init__(self, event: Callable[[str], None]) -> None:
        self._event = event
        self._told = ""

    def tell(self, text: str) -> None:
        """It goes wrong as ``text`` says, one line."""
        if text != self._told:
            self._told = text
            self._event(text)

    def over(self) -> None:
        """It goes well again."""
        self._told = ""
