"""What is wrong with the settings, in lines for the person who wrote them."""

from collections.abc import Iterable


class SettingsError(Exception):
    """The settings cannot be used.

    ``problems`` holds one line per fault, each naming the key's path (``limits.errors: …``) or the file's
    line; the text of the exception is these lines.
    """

    problems: tuple[str, ...]

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
