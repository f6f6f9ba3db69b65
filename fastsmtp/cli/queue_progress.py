"""How far a queue command has come, and words that several of them use."""

import sys

import click

from fastsmtp.cli.bar import Bar
from fastsmtp.control.together import Tally


class Progress:
    """Shows how far something has come, and says at its end whether there was a scan, unless ``everything`` was
    meant."""

    def __init__(self, title: str, total: int = 0, *, everything: bool = False) -> None:
        self.last = Tally()
        self._bar = Bar(title, sys.stderr)
        self._total = total
        self._everything = everything

    def __call__(self, tally: Tally) -> None:
        self.last = tally
        if self._total:
            done = tally.messages + tally.skipped
            self._bar.show(done / self._total, f"{done:,} of {self._total:,}")
        elif tally.scan:
            self._bar.show(
                tally.looked / max(1, tally.total), f"{tally.looked:,} seen, {tally.messages:,} found"
            )

    def clear(self) -> None:
        """Take the bar away."""
        self._bar.clear()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.clear()
        if self.last.scan and not (self._total or self._everything) and error[0] is None:
            click.echo(f"note: no index answers this; {self.last.looked:,} messages were looked at", err=True)


def messages(number: int) -> str:
    """So many messages, in words."""
    return f"{number:,} message{'' if number == 1 else 's'}"


def not_here(queue_id: str) -> str:
    """That nothing is known by this id."""
    return f"{queue_id}: no message of this id waits; it was delivered, returned or removed, or never for other hosts"
