"""Invariant: whatever senders, recipients, hosts and messages say, a notification is well-formed: a foreign program
finds its three parts and each field once, no line is too long, nothing is 8-bit unless the envelope says so, no
forwarding address is told, and it is not much larger than what it is about.

Run longer with FASTSMTP_FUZZ=N (examples a target).
"""

from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.bounce.decide import Outcome, decide
from fastsmtp.bounce.dsn import compose, wanted
from fastsmtp.bounce.original import HEADERS_LIMIT, Original
from fastsmtp.bounce.status import hidden
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from tests.tools.bounce_reader import read
from tests.tools.fuzzing import fuzzed

HOSTILE = (
    "\r\n", "\r", "\n", "\0", "\t", " ", " " * 1100, "\x1b[2J", "\u2028", "\u202e", "\x85", "ö", "😀", "ä" * 600,
    "x" * 1100, "=?utf-8?q?=0A?=", "=?utf-8?b?", "?=", "Action: delivered", "Bcc: all@far.test\r\n",
    "\r\n\r\nFinal-Recipient: rfc822; eve@far.test", "--=_", "a@b.test", "<", ">", '"', "\\", ";", ":", "(", ")",
    "+0D+0A", "\\x{0D}\\x{0A}", "\\x{F6}",
)  # fmt: skip
words = st.lists(
    st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=("Cs",)), max_size=10)),
    max_size=6,
).map("".join)
senders = st.one_of(st.sampled_from(["alice@example.org", "älice@example.org", ""]), words)
addresses = st.one_of(st.sampled_from(["bob@far.test", "böb@far.test"]), words)
parameters = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "NOTIFY": st.sampled_from(["NEVER", "SUCCESS", "FAILURE,DELAY", "SUCCESS,FAILURE,DELAY"]),
            "ORCPT": st.tuples(st.sampled_from(["rfc822", "utf-8", "x", ""]), words).map(";".join),
        },
    ),
)
message_parameters = st.fixed_dictionaries(
    {},
    optional={
        "ENVID": words,
        "RET": st.sampled_from(["FULL", "HDRS"]),
        "SMTPUTF8": st.just(""),
        "REQUIRETLS": st.just(""),
    },
)
recipients = st.builds(
    Recipient,
    addresses,
    st.just(""),
    parameters,
    st.one_of(st.none(), st.sampled_from(["owner@example.org", "SRS0=A=B=c.test=d@example.org"]), words),
    st.one_of(st.none(), st.just("info@example.org"), words),
)
results = st.builds(
    DeliveryResult,
    st.just(0),
    st.sampled_from(["delivered", "relayed", "deferred", "failed"]),
    st.sampled_from([0, 250, 451, 550]),
    st.one_of(st.sampled_from(["5.1.1", "4.4.1", "2.0.0"]), words),
    words,
    st.one_of(st.just("mx.far.test[192.0.2.1]:25"), words),
    st.sampled_from(["smtp", "x-fastsmtp"]),
)
outcomes = st.builds(
    Outcome,
    recipients,
    st.sampled_from(["failed", "delayed", "delivered", "relayed", "expanded"]),
    results,
    st.floats(0, 4e9),
    st.floats(0, 4e9),
)
octets = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"\r\n",
                b"\r",
                b"\n",
                b"\0",
                b"\xff",
                b"Subject: ",
                b"Message-ID: <",
                b">",
                b"\r\n\r\n",
                b"\r\n ",
                b"x" * 999,
            ]
        ),
        words.map(str.encode),
        st.binary(max_size=10),
    ),
    max_size=12,
).map(b"".join)


@fuzzed
@given(senders, message_parameters, words, st.lists(outcomes, min_size=1, max_size=4), octets, st.booleans())
def test_notifications(
    sender: str, params: dict[str, str], helo: str, of: list[Outcome], content: bytes, long: bool
) -> None:
    if long:
        content *= 40_000 // max(1, len(content))
    envelope = Envelope("0AbCdEfGhIjKl", sender, [], "192.0.2.9", helo, "ESMTP", 1.7e9, params)
    for notice in decide(envelope, of, "postmaster@mx.example.org").notices:
        size = len(content)
        original = Original(content[: wanted(notice, envelope, size)], size)
        dsn = compose(notice, envelope, original, "mx.example.org", "0BbCdEfGhIjKl", 1.7e9)
        found = read(dsn)
        assert dsn.recipient == notice.to
        assert dsn.params is None or "SMTPUTF8" not in dsn.params or not notice.to.isascii()
        assert [one["Action"] for one in found.recipients] == [outcome.action for outcome in notice.outcomes]
        assert found.head["Auto-Submitted"] in ("auto-replied", "auto-generated")
        assert all(c == "\n" or c.isprintable() for c in found.text)
        assert all(
            value.isprintable() for group in (found.message, *found.recipients) for value in group.values()
        )
        for outcome, told in zip(notice.outcomes, found.recipients, strict=True):
            if hidden(notice, outcome.recipient):
                assert "Remote-MTA" not in told
                assert "Diagnostic-Code" not in told
        assert len(dsn.content) < 10_000 + 40_000 * len(notice.outcomes) + 3.2 * max(size, HEADERS_LIMIT)
