"""Events as lines of JSON: one line each, whatever was said, and read back as they were."""

import json

import msgspec
import pytest

from fastsmtp.telemetry import events
from fastsmtp.telemetry.events import KINDS, Rejected, Server
from tests.fakes.events import received


def test_the_canonical_line() -> None:
    assert events.encode([received(message_id="1@x")]) == (
        b'{"kind":"received","v":1,"at":1795498500.125,"worker":3,"pid":71,"id":"0abcdefghijkl",'
        b'"from":"a@example.org","to":["b@example.net"],"size":4096,"client":"192.0.2.1",'
        b'"helo":"mail.example.org","protocol":"ESMTP","message_id":"1@x"}\n'
    )


def test_nothing_said_makes_a_second_line_or_another_field() -> None:
    evil = 'x","kind":"sent"}\n{"kind":\x00\x1b\u2028'
    lines = events.encode([received(sender=evil, helo=evil, to=[evil]), Server(1, 2.0, None, 71, evil)])
    assert lines.count(b"\n") == 2
    first, second = (json.loads(line) for line in lines.splitlines())
    assert (first["kind"], first["from"], first["to"]) == ("received", evil, [evil])
    assert (second["worker"], second["text"]) == (None, evil)


def test_a_name_that_is_not_utf_8_is_written_all_the_same() -> None:
    lines = events.encode([Server(1, 2.0, 0, 71, "cannot read a\udcff\u00e9"), received()])
    assert [json.loads(line).get("text") for line in lines.splitlines()] == [
        "cannot read a\\udcff\u00e9",
        None,
    ]


def test_it_is_read_back_and_what_is_newer_is_passed_over() -> None:
    line = events.encode([received(tls="TLSv1.3 X")])
    assert events.decode(line) == received(tls="TLSv1.3 X")
    assert events.decode(line.replace(b'{"kind"', b'{"newer":[1],"kind"')) == received(tls="TLSv1.3 X")
    with pytest.raises(msgspec.DecodeError):
        events.decode(line.replace(b"received", b"dreamt"))


def test_a_sender_who_is_not_there_is_not_the_null_sender() -> None:
    told = Rejected(1, 2.0, 0, 71, "192.0.2.1", "RCPT", 550, "5.1.1", "no such mailbox here", sender="")
    assert b'"from":""' in events.encode([told])
    told.sender = None
    assert b'"from"' not in events.encode([told])


def test_every_field_of_every_kind_is_described() -> None:
    for kind in KINDS:
        assert kind.__doc__
        for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
            assert isinstance(field.type, msgspec.inspect.Metadata), f"{kind.__name__}.{field.name}"
            assert field.type.extra_json_schema, f"{kind.__name__}.{field.name}"
