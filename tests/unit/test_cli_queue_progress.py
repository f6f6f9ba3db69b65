"""What is said of a scan, and words for numbers."""

import pytest

from fastsmtp.cli.queue_progress import Progress, messages
from fastsmtp.control.together import Tally

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("scan", "everything", "total", "told"),
    [(True, False, 0, True), (False, False, 0, False), (True, True, 0, False), (True, False, 10, False)],
)
def test_a_scan_is_told_once_and_only_where_it_was_not_meant(
    capsys: Capture, scan: bool, everything: bool, total: int, told: bool
) -> None:
    with Progress("looking", total, everything=everything) as shown:
        shown(Tally(scan=scan, looked=5, total=10))
        shown(Tally(scan=scan, looked=1200, total=2000))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("note: no index answers this; 1,200 messages were looked at\n" if told else "")


def test_nothing_is_said_when_it_went_wrong(capsys: Capture) -> None:
    shown = Progress("looking")
    shown(Tally(scan=True, looked=5, total=10))
    with pytest.raises(KeyError), shown:
        raise KeyError
    assert capsys.readouterr().err == ""


def test_words() -> None:
    assert [messages(number) for number in (0, 1, 1234)] == ["0 messages", "1 message", "1,234 messages"]
