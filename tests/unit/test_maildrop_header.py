"""Fields of a dropped message."""

from fastsmtp.maildrop.header import completed, field_name, fields


def test_fields_with_what_continues_them() -> None:
    found = fields(b"To: a,\r\n\tb\r\nX-Y : 1\r\nno field\r\n")
    assert [(one.name, one.text) for one in found] == [("to", "a,\tb"), ("x-y", "1"), ("", "")]
    assert b"".join(one.raw for one in found) == b"To: a,\r\n\tb\r\nX-Y : 1\r\nno field\r\n"


def test_what_begins_a_field() -> None:
    assert field_name(b"Subject: x") == "subject"
    assert field_name(b"hello there: x") == ""
    assert field_name(b": x") == ""
    assert field_name(b"hello") == ""


def test_addresses_get_a_domain_and_other_fields_stay() -> None:
    header = b"From: root (Cron Daemon)\r\nTo: A <a>,\r\n b@c.d\r\nSubject: root\r\n"
    assert completed(header, "root@x.test", "", "x.test") == (
        b"From: root@x.test (Cron Daemon)\r\nTo: A <a@x.test>,\r\n b@c.d\r\nSubject: root\r\n"
    )


def test_a_missing_from_is_the_sender_s() -> None:
    assert completed(b"To: a@b\r\n", "u@x.test", 'J "Q" Doe', "x.test") == (
        b'From: "J \\"Q\\" Doe" <u@x.test>\r\nTo: a@b\r\n'
    )
    assert (
        completed(b"", "u@x.test", "J\u00fcrgen", "x.test")
        == b"From: =?utf-8?B?SsO8cmdlbg==?= <u@x.test>\r\n"
    )
    assert completed(b"", "", "", "x.test") == b"From: MAILER-DAEMON@x.test\r\n"
