"""What an answer says, once it is believed: records of the type that was asked for, owned by the name that was asked
for or by the end of its chain of aliases. All else in the message is left aside."""

from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.ANY.MX
import dns.rdtypes.ANY.TLSA
import dns.rdtypes.ANY.TXT
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
from msgspec import Struct

from fastsmtp.dns.base import Mx, Tlsa
from fastsmtp.dns.names import normal

MOST_RECORDS = 100
"""Records of one answer that are kept; of MX those with the lowest preference."""

Record = Mx | Tlsa | str | bytes | None


class Answer(Struct, frozen=True):
    """``records``: Mx, Tlsa, an address, or the bytes of a TXT record; None in place of an MX host that cannot be
    one, and of records that are not well-formed. ``name``: where the aliases ended. ``exists``: whether the name
    does. ``ttl`` in seconds, for what there is as well as for what there is not (RFC 2308 §5). ``complete``: false
    when the aliases lead to a name that the answer says nothing about. ``secure``: the AD bit."""

    records: tuple[Record, ...]
    name: str
    exists: bool
    ttl: float
    complete: bool
    secure: bool


class AnswerError(Exception):
    """The answer contradicts itself or says that there is none; the text says so in a few words."""


def read(message: dns.message.QueryMessage) -> Answer:
    """What ``message`` answers to its question. Raises `AnswerError`."""
    code = message.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise AnswerError(dns.rcode.to_text(code))
    try:
        chain = message.resolve_chaining()
    except dns.message.ChainTooLong:
        raise AnswerError("a chain of aliases without an end") from None
    except dns.exception.DNSException:
        raise AnswerError("an answer that contradicts itself") from None
    try:
        name = normal(chain.canonical_name.to_text(omit_final_dot=True))
    except ValueError:
        raise AnswerError("an alias for what is no domain name") from None
    records = [] if chain.answer is None else [_record(rdata) for rdata in chain.answer]
    if message.errors:
        if message.question[0].rdtype != dns.rdatatype.TLSA and not records:
            raise AnswerError("an answer that cannot be read")
        # RFC 7672 §2.2: TLSA records that nobody can use are more than none.
        records.append(None)
    if any(isinstance(record, Mx) for record in records):
        records.sort(key=lambda record: record.preference if isinstance(record, Mx) else 65_536)
    return Answer(
        records=tuple(records[:MOST_RECORDS]),
        name=name,
        exists=code == dns.rcode.NOERROR,
        ttl=float(chain.minimum_ttl),
        complete=bool(records) or not chain.cnames or code == dns.rcode.NXDOMAIN or _denied(message),
        secure=bool(message.flags & dns.flags.AD),
    )


def _denied(message: dns.message.QueryMessage) -> bool:
    """Whether the answer says that there is nothing at the end of the aliases (RFC 2308 §2.2)."""
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in message.authority)


def _record(rdata: object) -> Record:
    if isinstance(rdata, dns.rdtypes.ANY.MX.MX):
        return _mx(rdata)
    if isinstance(rdata, dns.rdtypes.IN.A.A | dns.rdtypes.IN.AAAA.AAAA):
        return cast(str, rdata.address)
    if isinstance(rdata, dns.rdtypes.ANY.TXT.TXT):
        return b"".join(rdata.strings)
    if isinstance(rdata, dns.rdtypes.ANY.TLSA.TLSA):
        return Tlsa(rdata.usage, rdata.selector, rdata.mtype, bytes(rdata.cert))
    return None


def _mx(rdata: dns.rdtypes.ANY.MX.MX) -> Mx | None:
    if rdata.exchange == dns.name.root:
        return Mx(rdata.preference, "")
    try:
        return Mx(rdata.preference, normal(rdata.exchange.to_text(omit_final_dot=True)))
    except ValueError:
        return None
