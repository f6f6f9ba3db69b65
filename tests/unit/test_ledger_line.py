"""Lines as readers see them, whatever stands in them."""

import pytest

from fastsmtp.ledger.line import read_line


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"1", b"{}", b'{"kind":"a"}', b'{"at":1}', b'{"at":"1","kind":"a"}', b'{"at":true,"kind":"a"}',
     b'{"at":1,"kind":2}', b'{"at":1,"kind":"\xff"}', b"[" * 5000, b'{"at":1,"kind":"a","x":' + b"[" * 5000],
)  # fmt: skip
def test_no_event(raw: bytes) -> None:
    assert read_line(raw) is None


def test_fields_of_any_type() -> None:
    line = read_line(b'{"kind":"new","at":1,"to":["a",3,"b"],"from":"c","n":2.5,"t":true}')
    assert line is not None
    assert (line.at, line.kind, line.texts("to"), line.texts("from"), line.texts("n")) == (
        1.0, "new", ["a", "b"], ["c"], []
    )  # fmt: skip
    assert (line.text("from"), line.text("to"), line.text("none")) == ("c", "", "")
    assert (line.number("n"), line.number("t"), line.number("from")) == (2.5, 0, 0)
