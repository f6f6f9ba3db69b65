"""Invariant: whatever a DNS server, a web server or a mail server's certificate says, what reads it gives a bounded
value or the error it names, and nothing else.

Run longer with FASTSMTP_FUZZ=N (examples a test).
"""

import time
from collections.abc import Iterator
from itertools import product

import dns.message
import dns.rrset
from dns.rdatatype import RdataType
from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.dns.answers import MOST_RECORDS, Answer, AnswerError, read
from fastsmtp.dns.base import Mx, Tlsa
from fastsmtp.dns.exchange import _parsed, question
from fastsmtp.dns.names import normal
from fastsmtp.transport.smtp.dane import check, spki, usable
from fastsmtp.transport.smtp.https import _head
from fastsmtp.transport.smtp.mta_sts import FetchError, StsPolicy, read_policy, read_record
from fastsmtp.transport.smtp.mx import literal, printable
from tests.tools.chains import Issued
from tests.tools.fuzzing import fuzzed

KINDS = {
    RdataType.MX: ["10 mx1.far.test.", "0 .", "10 a\\032b.test."],
    RdataType.A: ["192.0.2.1", "192.0.2.2"],
    RdataType.TXT: ['"v=STSv1; id=1;"', '"\\255" "x"'],
    RdataType.TLSA: [f"3 1 1 {'ab' * 32}", f"2 0 2 {'cd' * 64}"],
}
CA = Issued("root", authority=True)
LEAF = Issued("mx.far.test", CA, names=("mx.far.test",))
POLICY = b"version: STSv1\r\nmode: enforce\r\nmx: *.far.test\r\nmax_age: 604800\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """``good`` with bytes changed, put in or taken out at a few places."""
    data = bytearray(good)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


def answers() -> Iterator[tuple[dns.message.QueryMessage, bytes]]:
    """Questions, and good answers to them: with and without an alias, about the right name and a wrong one."""
    for kind, records in KINDS.items():
        for alias, owner in product((False, True), ("far.test.", "real.test.")):
            query = question("far.test", kind)
            response = dns.message.make_response(query)
            if alias:
                response.answer.append(dns.rrset.from_text("far.test.", 60, "IN", "CNAME", "real.test."))
            response.answer.append(dns.rrset.from_text(owner, 60, "IN", kind, *records))
            response.authority.append(
                dns.rrset.from_text("test.", 60, "IN", "SOA", "ns.test. x.test. 1 2 3 4 5")
            )
            yield query, response.to_wire()


@st.composite
def damaged_answers(draw: st.DrawFn) -> tuple[dns.message.QueryMessage, bytes]:
    """A question, and a damaged answer with its number left as it is."""
    query, wire = draw(st.sampled_from(ANSWERS))
    return query, wire[:2] + draw(damaged(wire[2:]))


def fine(error: Exception) -> None:
    """Whether the text of ``error`` can stand in a line of a log."""
    text = str(error)
    assert text.isprintable()
    assert 0 < len(text) < 200


ANSWERS = list(answers())


@fuzzed
@given(damaged_answers())
def test_answers_of_the_dns(pair: tuple[dns.message.QueryMessage, bytes]) -> None:
    message = _parsed(*pair)
    if message is None:
        return
    try:
        answer = read(message)
    except AnswerError as error:
        fine(error)
        return
    assert isinstance(answer, Answer)
    assert normal(answer.name) == answer.name
    assert 0 <= answer.ttl < 2**31
    assert len(answer.records) <= MOST_RECORDS
    for record in answer.records:
        if isinstance(record, Mx) and record.host:
            assert normal(record.host) == record.host
        elif isinstance(record, Tlsa):
            usable([record])


@fuzzed
@given(st.lists(st.one_of(damaged(b"v=STSv1; id=1;"), st.binary(max_size=50)), max_size=3))
def test_records_of_mta_sts(texts: list[bytes]) -> None:
    found = read_record(tuple(texts))
    assert found is None or (found.isalnum() and 1 <= len(found) <= 32)


@fuzzed
@given(st.one_of(damaged(POLICY), st.binary(max_size=200)))
def test_policies_of_mta_sts(data: bytes) -> None:
    try:
        policy = read_policy(data)
    except FetchError as error:
        fine(error)
        return
    assert isinstance(policy, StsPolicy)
    assert 0 <= policy.max_age <= 31_557_600
    assert policy.mx or policy.mode == "none"


@fuzzed
@given(st.one_of(damaged(HEAD), st.binary(max_size=200)))
def test_heads_of_http(data: bytes) -> None:
    try:
        status, _ = _head(data)
    except ValueError as error:
        fine(error)
        return
    assert 100 <= status <= 999


@fuzzed
@given(damaged(LEAF.der), damaged(CA.der))
def test_certificates(leaf: bytes, ca: bytes) -> None:
    """A damaged chain holds only when what is signed is whole."""
    spki(leaf)
    records = [Tlsa(2, 0, 0, ca)]
    if check(records, [leaf, ca], ("mx.far.test",), time.time()):
        assert spki(ca) == CA.spki
        assert spki(leaf) == LEAF.spki


@fuzzed
@given(st.text(max_size=300))
def test_names(text: str) -> None:
    literal(text)
    assert printable(text).isprintable()
    try:
        name = normal(text)
    except ValueError:
        return
    assert name.isascii()
    assert 0 < len(name) <= 253
    assert normal(name) == name
