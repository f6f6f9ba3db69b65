"""What options and ids become: a filter, or one line that says what is wrong."""

import click
import pytest

from fastsmtp.cli.queue_filter import FIELDS, check_id, filter_of
from fastsmtp.control.queue import MOST_IDS, QueueFilter

NOTHING = dict.fromkeys(FIELDS)


def test_nothing_is_everything() -> None:
    assert filter_of(dict(NOTHING)) == QueueFilter()


def test_options_are_taken_out_and_others_stay() -> None:
    given = {**NOTHING, "recipient": "a@b", "older": 3.0, "limit": 5}
    assert filter_of(given) == QueueFilter(recipient="a@b", older=3.0)
    assert given == {"limit": 5}


def test_ids_count_once() -> None:
    assert filter_of(dict(NOTHING), ("A" * 13, "B" * 13, "A" * 13)).ids == ("A" * 13, "B" * 13)
    with pytest.raises(click.UsageError, match="are more than"):
        filter_of(dict(NOTHING), ("A" * 13,) * (MOST_IDS + 1))


@pytest.mark.parametrize("text", ["", "A" * 12, "A" * 14, "é" * 13, "A" * 12 + "/", "../../../../x"])
def test_what_cannot_be_an_id(text: str) -> None:
    with pytest.raises(click.UsageError, match="is no queue id"):
        check_id(text)
