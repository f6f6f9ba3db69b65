"""What another server says of the client it speaks for."""

import pytest

from fastsmtp.mail import reply
from fastsmtp.smtp import xclient


@pytest.mark.parametrize(
    ("argument", "found"),
    [
        ("ADDR=192.0.2.1", {"ADDR": "192.0.2.1"}),
        ("addr=ipv6:2001:DB8:0:0::1  port=25", {"ADDR": "2001:db8::1", "PORT": "25"}),
        ("NAME=[UNAVAILABLE] HELO=[TEMPUNAVAIL] PROTO=ESMTP", {"PROTO": "ESMTP"}),
        ("HELO=a+2Bb+20", reply.BAD_SYNTAX),
        ("HELO=a+2Bb", {"HELO": "a+b"}),
        ("NAME=[unavailable]", {}),
        ("", reply.BAD_SYNTAX),
        ("   ", reply.BAD_SYNTAX),
        ("ADDR", reply.BAD_SYNTAX),
        ("LOGIN=alice@example.org", {"LOGIN": "alice@example.org"}),
        ("LOGIN= NAME=[UNAVAILABLE]", {"LOGIN": ""}),
        ("DESTADDR=192.0.2.2 DESTPORT=25", {"DESTADDR": "192.0.2.2", "DESTPORT": "25"}),
        ("FOO=alice", reply.BAD_SYNTAX),
        ("HELO=a+28b", reply.BAD_PARAMETER_VALUE),
        ("HELO=", reply.BAD_PARAMETER_VALUE),
        ("NAME=a name=b", reply.BAD_SYNTAX),
        ("HELO=+0D+0A", reply.BAD_SYNTAX),
        ("ADDR=", reply.BAD_PARAMETER_VALUE),
        ("ADDR=[UNAVAILABLE]", reply.BAD_PARAMETER_VALUE),
        ("NAME=mx.far.test ADDR=[TEMPUNAVAIL]", reply.BAD_PARAMETER_VALUE),
        ("ADDR=300.0.0.1", reply.BAD_PARAMETER_VALUE),
        ("ADDR=IPV6:192.0.2.1:x", reply.BAD_PARAMETER_VALUE),
    ],
)
def test_attributes(argument: str, found: object) -> None:
    assert xclient.parse(argument) == found
