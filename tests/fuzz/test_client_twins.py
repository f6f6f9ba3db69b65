"""Invariant: whatever a server says, however it is cut, the compiled client and its plain twin write the same,
tell the same events and gather the same refusals.

Run longer with FASTSMTP_FUZZ=N (examples a test).
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastsmtp import _core
from fastsmtp.smtp import client as plain
from fastsmtp.smtp.events import Event
from tests.fakes.session import cut

if not _core.COMPILED:
    pytest.skip("the compiled core is not in use", allow_module_level=True)

from fastsmtp._core import client as compiled

EXAMPLES = int(os.environ.get("FASTSMTP_FUZZ", "400"))

fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
GOOD = [
    b"220 mx ESMTP\r\n",
    b"250-mx\r\n250-PIPELINING\r\n250-chunking 1\r\n250 SIZE\r\n",
    b"250 2.1.0 ok\r\n",
]
ANY = [
    *GOOD,
    *[b"354 go on\r\n", b"250\r\n", b"250 ok\n", b"221 bye\r\n", b"550-no\r\n550 never\r\n", b"421 gone\r\n"],
    *[
        b"451 later\r\n",
        b"503 order\r\n",
        b"502 what\r\n",
        b"250-",
        b"2",
        b"\r",
        b"\n",
        b"25x ok\r\n",
        b"999 ?\r\n",
    ],
    *[b"250_ok\r\n", b"\xff\x00\r\n", b"  250 ok\r\n", b"-250 ok\r\n", b"y" * 2100, b"250-" + b"z" * 4000],
]
talk = st.tuples(
    st.sampled_from([b"", GOOD[0], GOOD[0] + GOOD[1], GOOD[0] + GOOD[1] + GOOD[2]]),
    st.lists(st.sampled_from(ANY), max_size=25).map(b"".join),
).map(b"".join)
places = st.lists(st.integers(0, 1 << 10), max_size=20)


def follow(make: Any, pieces: list[bytes], recipients: int, pipelining: bool, chunking: bool) -> list[Any]:
    """Everything a session does, driven as the load generator drives it: two messages, then goodbye."""
    client = make(b"a.example", pipelining=pipelining, chunking=chunking)
    rcpts = tuple(b"RCPT TO:<%d@b.example>\r\n" % number for number in range(recipients))
    left = 2
    seen: list[Any] = []
    for piece in [*pieces, b""]:
        seen.append((client.receive(piece), int(client.event), client.stage, list(client.refusals)))
        while client.event not in (Event.NOTHING, Event.OVER):
            if left:
                left -= 1
                seen.append(client.send(b"MAIL FROM:<a@b.example>\r\n", rcpts, b"body\r\n.\r\n"))
            else:
                seen.append(client.quit())
            seen.append((client.receive(b""), int(client.event), client.stage, list(client.refusals)))
        if client.event == Event.OVER:
            break
    client.end()
    seen.append((int(client.event), client.stage, list(client.refusals)))
    return seen


@fuzzed
@given(talk, places, st.integers(1, 3), st.booleans(), st.booleans())
@example(GOOD[0] + GOOD[1] + b"250 ok\r\n421 gone\r\n", [], 1, False, False)
def test_clients(said: bytes, at: list[int], recipients: int, pipelining: bool, chunking: bool) -> None:
    pieces = cut(said, at)
    expected = follow(plain.ClientProtocol, pieces, recipients, pipelining, chunking)
    assert follow(compiled.ClientProtocol, pieces, recipients, pipelining, chunking) == expected
