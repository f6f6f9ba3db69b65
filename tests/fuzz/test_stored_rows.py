"""Invariant: whatever bytes stand where a record or what is known of waiting mail should stand, they are read as
something of that kind or are `Damaged`, and nothing else is raised; what is read may be written again.
"""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.spool.record import (
    Damaged,
    read_envelope,
    read_pack,
    read_record,
    read_single,
    record_parts,
    single,
)
from fastsmtp.spool.waiting import (
    RcptState,
    Try,
    Waiting,
    decode_waiting,
    domain_of,
    due_of,
    encode_waiting,
    id_of,
    index_rows,
)
from tests.tools.fuzzing import fuzzed

ENVELOPE = Envelope(
    "0123456789abc", "sénder@b.test", [Recipient("u@far.test", "", {"NOTIFY": "NEVER"}), Recipient("ü@x.test", "")],
    "192.0.2.1", "hélo", "ESMTP", 1e9,
)  # fmt: skip
RECORD = b"".join((*record_parts(ENVELOPE, b"Received: x\r\n", b"body"), b"Received: x\r\n", b"body"))
TRIES = (Try(1.0, 451, "4.7.1", "später", "mx[192.0.2.1]:25"), Try(2.0, 0, "4.4.1", "", ""))
ROW = encode_waiting(
    Waiting(1.0, True, False, [RcptState(0, 5.0, TRIES, 3), RcptState(1)], ("mx", "mx:a.test"))
)

changes = st.lists(st.tuples(st.integers(0, 1 << 12), st.binary(max_size=3), st.integers(0, 3)), max_size=6)


def changed(good: bytes) -> st.SearchStrategy[bytes]:
    """``good`` with some bytes replaced, put in or taken out; or anything."""

    def apply(at: list[tuple[int, bytes, int]]) -> bytes:
        data = bytearray(good)
        for place, new, old in at:
            start = place % (len(data) + 1)
            data[start : start + old] = new
        return bytes(data)

    return st.one_of(changes.map(apply), st.binary(max_size=300))


def read(reader: Callable[[bytes], object], data: bytes) -> None:
    try:
        reader(data)
    except Damaged:
        pass


@fuzzed
@given(changed(RECORD))
def test_records(data: bytes) -> None:
    read(read_record, data)
    read(read_envelope, data)
    for one in read_pack(data * 2):
        assert isinstance(one, Damaged) or one.offset + one.length <= 2 * len(data)


@fuzzed
@given(changed(single(RECORD, [0, 1], 2)))
def test_singles(data: bytes) -> None:
    read(read_single, data)


@fuzzed
@given(changed(ROW), st.booleans())
def test_what_is_known_of_waiting_mail(data: bytes, held: bool) -> None:
    try:
        row = decode_waiting(data, held=held)
    except Damaged:
        return
    assert decode_waiting(encode_waiting(row), held=held) == row


addresses = st.builds(
    "{}@{}".format,
    st.text(min_size=1, max_size=700).filter(lambda text: "@" not in text),
    st.lists(st.sampled_from(["a", "b-c", "Far", "x" * 63]), min_size=1, max_size=9).map(".".join),
)


@fuzzed
@given(addresses, st.lists(addresses, min_size=1, max_size=4), st.floats(0, 1 << 40), st.booleans())
def test_keys_lead_back(sender: str, to: list[str], due: float, held: bool) -> None:
    envelope = Envelope(ENVELOPE.id, sender, [Recipient(one, "") for one in to], "", "", "", 0.0)
    rows = index_rows(envelope, Waiting(0.0, False, held, [RcptState(n, due) for n in range(len(to))]))
    domains = {one.rpartition("@")[2].lower() for one in to}
    assert rows
    for table, key in rows:
        assert len(key) <= 511
        if table != b"held":
            assert id_of(key) == ENVELOPE.id
        if table == b"by-domain":
            assert domain_of(key) in domains
        if table == b"by-due":
            assert abs(due_of(key) - due) <= 0.001
