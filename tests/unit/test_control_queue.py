"""What is sent and printed of the queue is written down."""

import re
from pathlib import Path

import pytest

from fastsmtp.control.queue import QueueRow, RecipientRow, Shown, SiteRow, TlsFailure, TlsRow, TryRow

DOCUMENT = Path(__file__).parents[2] / "docs" / "control.md"


@pytest.mark.parametrize(
    ("start", "forms"),
    [
        ("message (`ls`, `show`)", [QueueRow]),
        ("… in `show` besides", [Shown]),
        ("recipient", [RecipientRow]),
        ("attempt", [TryRow]),
        ("site (`sites`)", [SiteRow]),
        ("TLS (`tls`)", [TlsRow, TlsFailure]),
    ],
)
def test_every_field_of_the_json_is_in_the_document(start: str, forms: list[type]) -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    at = next(number for number, (name, _) in enumerate(rows) if name == start)
    told = set(
        re.findall(r"`(\w+)`", rows[at][1] + rows[at + 1][1] + (rows[at - 1][1] if start[0] == "…" else ""))
    )
    for form in forms:
        assert set(form.__struct_fields__) - told == set()  # type: ignore[attr-defined]
