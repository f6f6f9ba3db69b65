"""Invariant: whatever a server says, however it is cut, the compiled sending client and its plain twin write the
same, tell the same events and give every recipient the same outcome; so do the writers of bodies.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp import _core
from fastsmtp.mail.envelope import Recipient
from fastsmtp.smtp import outgoing as plain
from fastsmtp.smtp import outgoing_body as plain_body
from fastsmtp.smtp.framing import DotReader
from fastsmtp.smtp.outgoing_values import Event
from tests.fakes.session import cut
from tests.tools.fuzzing import fuzzed

if not _core.COMPILED:
    pytest.skip("the compiled core is not in use", allow_module_level=True)

from fastsmtp._core import outgoing as compiled
from fastsmtp._core import stuff as compiled_body

GREETINGS = [b"220 mx\r\n", b"220-mx\r\n220 mx\r\n", b"554 no\r\n", b"421 no\r\n"]
HELLOS = [
    b"250 mx\r\n",
    b"250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 99\r\n",
    b"250-mx\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-8bitmime\r\n250 DSN\r\n",
    b"250-mx\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250 LIMITS RCPTMAX=2 MAILMAX=2 RCPTDOMAINMAX=1\r\n",
    b"250-mx\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250 PIPELINING\r\n",
    b"502 what\r\n",
]
ANSWERS = [
    *[b"250 2.1.0 ok\r\n"] * 6,
    *[b"354 go on\r\n"] * 3,
    *[b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 ok\r\n550 5.1.1 no\r\n354 go\r\n", b"550 5.1.1 no\r\n"],
    *[
        b"452 4.5.3 full\r\n",
        b"552 full\r\n",
        b"451 later\r\n",
        b"250-2.0.0 a\r\n250 2.0.0 b\r\n",
        b"554 5.5.1 no\r\n",
    ],
    *[
        b"421 gone\r\n",
        b"250\n",
        b"334 QQ==\r\n",
        b"235 in\r\n",
        b"2",
        b"\r",
        b"\n",
        b"250-",
        b"25x no\r\n",
        b"699 ?\r\n",
    ],
    *[
        b"250-a\r\n251 b\r\n",
        b"\xff\x00\r\n",
        b"250 " + b"x" * 4090 + b"\r\n",
        b"250-" + b"z" * 4000 + b"\r\n",
    ],
]
PIECES = [b"", b"a\r\n", b".", b"\r", b"\n", b"..\r\n", b"x" * 50, b"\xe9", b"end", b"\r\n.\r\n"]
PARAMS: list[dict[str, str] | None] = [
    *[None, None, {"BODY": "8BITMIME"}, {"BODY": "BINARYMIME"}],
    {"SMTPUTF8": "", "ENVID": "x", "RET": "HDRS"},
]
SENDERS = ["a@b.test", "", "é@b.test", "bad address"]
RECIPIENTS = [
    Recipient("c@d.test", "", {"NOTIFY": "NEVER"}),
    *(Recipient(f"{n}@e{n % 3}.test", "") for n in range(130)),
]

transaction = st.tuples(
    st.sampled_from(["send"] * 6 + ["quit", "tls", "auth"]),
    st.sampled_from(SENDERS),
    st.sampled_from([1, 1, 2, 3, 130]),
    st.sampled_from(PARAMS),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=4),
    st.booleans(),
)
talk = st.tuples(
    st.sampled_from(GREETINGS[:1] * 6 + GREETINGS),
    st.sampled_from(HELLOS),
    st.lists(st.sampled_from(ANSWERS), max_size=25),
).map(lambda said: [said[0], said[1], *said[2]])
places = st.lists(st.integers(0, 1 << 10), max_size=8)
options = st.fixed_dictionaries(
    {"lmtp": st.booleans(), "convert": st.booleans(), "early_chunk": st.sampled_from([0, 5, 1000])}
)


class Answering:
    """A mechanism that goes on for as long as it is asked."""

    name = "PLAIN"

    def start(self) -> bytes | None:
        return None

    def step(self, challenge: bytes) -> bytes | None:
        return challenge or None

    def work(self) -> bytes:
        return b"worked for"

    def complete(self) -> bool:
        return True


def follow(make: Any, says: list[bytes], acts: list[Any], at: list[int], chosen: dict[str, Any]) -> list[Any]:
    """Everything a session does."""
    client = make(b"me.test", **chosen)
    waiting = list(acts)
    body: list[bytes] = []
    seen: list[Any] = []

    def state() -> tuple[Any, ...]:
        return (
            *(int(client.event), client.stage, client.open, client.spent, client.offer),
            *(list(client.outcomes), client.refusal, client.trouble),
        )

    def step() -> None:
        while client.event not in (Event.NOTHING, Event.OVER):
            if client.event == Event.BODY:
                while client.open and body:
                    seen.append([bytes(part) for part in client.body(body.pop(0), not body)])
                    seen.append(state())
                if client.event == Event.BODY:
                    return
            elif client.event == Event.WORK:
                seen.append(client.worked(b"worked for"))
            elif client.event == Event.TLS_GO:
                seen.append(client.tls_done())
            elif waiting:
                what, sender, count, params, pieces, streamed = waiting.pop(0)
                body[:] = pieces
                content = None if streamed else b"".join(pieces)
                if what == "send":
                    seen.append(
                        client.begin(sender, RECIPIENTS[:count], params, sum(map(len, pieces)), content)
                    )
                elif what == "tls":
                    seen.append(client.starttls())
                elif what == "auth":
                    seen.append(client.auth(Answering()))
                else:
                    seen.append(client.quit())
            else:
                return
            seen.append(state())

    for said in says:
        for piece in cut(said, at) or [b""]:
            seen.append((client.receive(piece), state()))
            step()
    client.end()
    seen.append(state())
    assert None not in client.outcomes
    return seen


@fuzzed
@given(talk, st.lists(transaction, max_size=4), places, options)
def test_sessions(says: list[bytes], acts: list[Any], at: list[int], chosen: dict[str, Any]) -> None:
    expected = follow(plain.OutgoingProtocol, says, acts, at, chosen)
    assert follow(compiled.OutgoingProtocol, says, acts, at, chosen) == expected


GARBLED = st.lists(
    st.tuples(st.integers(0, 1 << 12), st.binary(max_size=2), st.integers(0, 2)), min_size=1, max_size=6
)


@fuzzed
@given(talk, st.lists(transaction, min_size=1, max_size=3), GARBLED, places, options)
def test_garbled_replies(
    says: list[bytes],
    acts: list[Any],
    changes: list[tuple[int, bytes, int]],
    at: list[int],
    chosen: dict[str, Any],
) -> None:
    """Bytes are changed, lost or put in between anywhere, and the ends of replies with them."""
    said = bytearray(b"".join(says))
    for place, new, old in changes:
        start = place % (len(said) + 1)
        said[start : start + old] = new
    expected = follow(plain.OutgoingProtocol, [bytes(said)], acts, at, chosen)
    assert follow(compiled.OutgoingProtocol, [bytes(said)], acts, at, chosen) == expected


@fuzzed
@given(
    st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\r\n", b"\r\n.", b"x" * 40, b"\x80"]), max_size=30),
    places,
    st.fixed_dictionaries({name: st.booleans() for name in ("stuff", "convert", "seven")}),
)
def test_writers(parts: list[bytes], at: list[int], chosen: dict[str, bool]) -> None:
    body = b"".join(parts)
    results = []
    for made in (plain_body, compiled_body):
        writer: Any = made.BodyWriter(**chosen)
        given_out = [bytes(writer.write(piece)) for piece in cut(body, at)]
        results.append((given_out, writer.finish(), writer.fault, writer.size))
    assert results[0] == results[1]
    out = b"".join(results[0][0]) + results[0][1]
    assert b"\r" not in out.replace(b"\r\n", b"")
    assert b"\n" not in out.replace(b"\r\n", b"")
    if chosen["stuff"] and not results[0][2]:
        reader = DotReader(0)
        assert reader.feed(out)[1] == len(out)
        assert (reader.ended, reader.fault) == (True, 0)
