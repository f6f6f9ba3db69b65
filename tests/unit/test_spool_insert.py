"""One message, two records: who stands in which, and what each takes."""

import pytest

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.changes import BOTH, ONE
from fastsmtp.spool.insert import Insert, RelayRecord, envelope_size
from fastsmtp.spool.record import read_envelope, read_record

PREFIX = b"Return-Path: <s@x.test>\r\nReceived: from c\r\n\tby mx\r\n"
RECEIVED = PREFIX[PREFIX.index(b"Received") :]


def nothing(error: SpoolError | None) -> None:
    pass


def insert(*mailboxes: str, filed: int | None = None, prefix: bytes = PREFIX) -> Insert:
    recipients = [Recipient(f"r{n}@x.test", mailbox) for n, mailbox in enumerate(mailboxes)]
    envelope = Envelope(
        "0123456789abc", "s@x.test", recipients, "192.0.2.1", "c", "ESMTP", 1.5, {"RET": "HDRS"}
    )
    return Insert(envelope, prefix, b"" if filed is not None else b"hello\r\n", filed, nothing)


def test_mail_for_here_is_one_record_as_it_came() -> None:
    one = insert("a", "b")
    assert one.relay is None
    assert one.here
    assert len(one.envelope.recipients) == 2
    assert one.body_count() == ONE
    assert one.size == one.length + envelope_size(one.envelope)


def test_mail_for_elsewhere_is_a_relay_record_only() -> None:
    one = insert("", "")
    assert not one.here
    assert one.relay is one.envelope
    record = RelayRecord(one)
    value = b"".join(record.parts)
    letter, end = read_record(value)
    assert end == len(value)
    assert letter.envelope == one.envelope
    assert value[letter.offset :] == RECEIVED + b"hello\r\n"
    assert record.length == letter.length == len(RECEIVED) + 7
    assert read_envelope(value) == (one.envelope, record.length, False)


def test_mail_for_both_is_split() -> None:
    one = insert("a", "", "b", "")
    assert one.relay is not None
    assert [r.address for r in one.envelope.recipients] == ["r0@x.test", "r2@x.test"]
    assert [r.address for r in one.relay.recipients] == ["r1@x.test", "r3@x.test"]
    assert one.relay.params == one.envelope.params == {"RET": "HDRS"}
    assert one.size > 2 * one.length


def test_a_body_file_is_shared_by_both_records() -> None:
    one = insert("a", "", filed=1000)
    assert one.body_count() == BOTH
    record, letter = one.filed_record()
    assert letter.shared
    assert read_record(record)[0] == letter
    relay = RelayRecord(one)
    found, _ = read_record(b"".join(relay.parts))
    assert (found.filed, found.shared, found.length) == (True, False, 1000)
    assert found.skip == len(PREFIX) - len(RECEIVED)
    assert relay.length == 1000 - found.skip
    assert read_envelope(b"".join(relay.parts)) == (one.relay, relay.length, True)
    alone = insert("a", filed=1000)
    assert not alone.filed_record()[1].shared
    assert alone.body_count() == insert("", filed=5).body_count() == ONE


@pytest.mark.parametrize("prefix", [b"", RECEIVED])
def test_without_return_path_nothing_is_left_out(prefix: bytes) -> None:
    assert RelayRecord(insert("", prefix=prefix)).length == len(prefix) + 7
