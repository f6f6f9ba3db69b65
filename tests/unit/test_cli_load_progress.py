"""The load generator's progress on a terminal and elsewhere."""

import io

from fastsmtp.cli.load_progress import LoadProgress


class Terminal(io.StringIO):
    """Says that it is a terminal."""

    def isatty(self) -> bool:
        return True


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_terminal_gets_a_bar_that_is_redrawn_and_taken_away() -> None:
    out, clock = Terminal(), Hand()
    progress = LoadProgress("here", out, 100, None, clock)
    progress.update(0.05, 1, 0)
    assert out.getvalue() == ""
    clock.now = 1.0
    progress.update(1.0, 40, 10)
    assert out.getvalue().startswith("\rhere [##############..............]  50%  40 sent, 40/s, 10 failed")
    progress.clear()
    assert out.getvalue().endswith("\r")


def test_elsewhere_there_is_a_line_now_and_then() -> None:
    out, clock = io.StringIO(), Hand()
    progress = LoadProgress("here", out, None, 20.0, clock)
    for clock.now in (1.0, 4.9, 5.1, 6.0, 10.2):
        progress.update(clock.now, round(clock.now * 100), 0)
    progress.clear()
    assert out.getvalue() == "here: 26%  510 sent, 100/s\nhere: 51%  1,020 sent, 100/s\n"
