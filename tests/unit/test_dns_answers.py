"""What is believed of an answer."""

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from fastsmtp.dns.answers import MOST_RECORDS, Answer, AnswerError, read
from fastsmtp.dns.base import Mx, Tlsa

SOA = ("test.", 900, "SOA", "ns.test. root.test. 1 2 3 4 120")


def message(
    name: str,
    kind: str,
    *answers: tuple[str, int, str, str],
    authority: tuple[tuple[str, int, str, str], ...] = (),
    code: str = "NOERROR",
    ad: bool = False,
) -> dns.message.QueryMessage:
    """An answer as it comes from the wire."""
    response = dns.message.make_response(dns.message.make_query(name, kind, use_edns=0))
    response.set_rcode(dns.rcode.from_text(code))
    if ad:
        response.flags |= dns.flags.AD
    for owner, ttl, type_, text in answers:
        response.answer.append(dns.rrset.from_text(owner, ttl, "IN", type_, text))
    for owner, ttl, type_, text in authority:
        response.authority.append(dns.rrset.from_text(owner, ttl, "IN", type_, text))
    parsed = dns.message.from_wire(response.to_wire(max_size=65_535))
    assert isinstance(parsed, dns.message.QueryMessage)
    return parsed


def answer(name: str, kind: str, *answers: tuple[str, int, str, str]) -> Answer:
    return read(message(name, kind, *answers))


def test_mx_by_preference() -> None:
    found = answer(
        "far.test.",
        "MX",
        ("far.test.", 300, "MX", "20 B.far.test."),
        ("far.test.", 300, "MX", "10 a.far.test."),
    )
    assert found == Answer(
        records=(Mx(10, "a.far.test"), Mx(20, "b.far.test")),
        name="far.test",
        exists=True,
        ttl=300,
        complete=True,
        secure=False,
    )


def test_the_root_as_mx_has_no_host() -> None:
    assert answer("far.test.", "MX", ("far.test.", 300, "MX", "0 .")).records == (Mx(0, ""),)


@pytest.mark.parametrize(
    "host", ["a\\032b.far.test.", "\\000.far.test.", "-x.far.test.", "a\\.b.far.test.", "\\255."]
)
def test_an_mx_that_can_be_no_host_is_none(host: str) -> None:
    found = answer(
        "far.test.", "MX", ("far.test.", 300, "MX", f"10 {host}"), ("far.test.", 300, "MX", "20 mx.far.test.")
    )
    assert set(found.records) == {None, Mx(20, "mx.far.test")}


def test_addresses_texts_and_tlsa() -> None:
    assert answer("h.test.", "A", ("h.test.", 300, "A", "192.0.2.1")).records == ("192.0.2.1",)
    assert answer("h.test.", "AAAA", ("h.test.", 300, "AAAA", "2001:DB8::1")).records == ("2001:db8::1",)
    assert answer("h.test.", "TXT", ("h.test.", 300, "TXT", '"v=x; " "id=1" "\\255"')).records == (
        b"v=x; id=1\xff",
    )
    assert answer("h.test.", "TLSA", ("h.test.", 300, "TLSA", f"3 1 1 {'0f' * 32}")).records == (
        Tlsa(3, 1, 1, b"\x0f" * 32),
    )


def test_aliases_are_followed_and_the_shortest_time_counts() -> None:
    found = answer(
        "www.test.",
        "A",
        ("www.test.", 300, "CNAME", "b.test."),
        ("b.test.", 30, "CNAME", "c.test."),
        ("c.test.", 600, "A", "192.0.2.1"),
    )
    assert (found.records, found.name, found.ttl, found.complete) == (("192.0.2.1",), "c.test", 30, True)


def test_records_of_another_name_or_type_count_for_nothing() -> None:
    found = answer(
        "h.test.", "A", ("other.test.", 300, "A", "192.0.2.66"), ("h.test.", 300, "AAAA", "2001:db8::66")
    )
    assert (found.records, found.name, found.complete) == ((), "h.test", True)


def test_an_alias_that_leads_out_of_the_answer_is_not_complete() -> None:
    assert not answer("h.test.", "A", ("h.test.", 300, "CNAME", "b.test.")).complete
    denied = read(message("h.test.", "A", ("h.test.", 300, "CNAME", "b.test."), authority=(SOA,)))
    assert denied.complete
    assert denied.records == ()


def test_what_is_not_there_is_remembered_as_the_zone_says() -> None:
    """RFC 2308 §5: the smaller one of the SOA record's time to live and its last field."""
    missing = read(message("no.test.", "A", authority=(SOA,), code="NXDOMAIN"))
    assert (missing.exists, missing.ttl) == (False, 120)
    empty = read(message("h.test.", "A", authority=(("test.", 60, *SOA[2:]),)))
    assert (empty.exists, empty.records, empty.ttl) == (True, (), 60)


def test_the_ad_bit() -> None:
    record = ("h.test.", 300, "A", "192.0.2.1")
    assert read(message("h.test.", "A", record, ad=True)).secure
    assert not read(message("h.test.", "A", record)).secure


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"])
def test_errors(code: str) -> None:
    with pytest.raises(AnswerError, match=code):
        read(message("h.test.", "A", code=code))


def test_a_chain_without_an_end() -> None:
    with pytest.raises(AnswerError, match="without an end"):
        answer("a.test.", "A", ("a.test.", 300, "CNAME", "b.test."), ("b.test.", 300, "CNAME", "a.test."))
    long = [(f"n{i}.test.", 300, "CNAME", f"n{i + 1}.test.") for i in range(30)]
    with pytest.raises(AnswerError, match="without an end"):
        answer("n0.test.", "A", *long)


def test_an_answer_beside_nxdomain() -> None:
    with pytest.raises(AnswerError, match="contradicts itself"):
        read(message("h.test.", "A", ("h.test.", 300, "A", "192.0.2.1"), code="NXDOMAIN"))


def test_an_alias_for_no_name() -> None:
    with pytest.raises(AnswerError, match="no domain name"):
        answer("h.test.", "A", ("h.test.", 300, "CNAME", "a\\032b.test."))
    with pytest.raises(AnswerError, match="no domain name"):
        answer("h.test.", "A", ("h.test.", 300, "CNAME", "."))


def test_a_crowd_of_records_is_cut_and_of_mx_the_preferred_ones_stay() -> None:
    crowd = [("far.test.", 300, "MX", f"{1000 - i} mx{i}.far.test.") for i in range(400)]
    found = answer("far.test.", "MX", *crowd)
    assert len(found.records) == MOST_RECORDS
    assert found.records[0] == Mx(601, "mx399.far.test")
