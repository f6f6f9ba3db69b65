"""Keys and rows of mail that waits."""

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.spool.tables import BY_CODE, BY_DOMAIN, BY_DUE, BY_FROM, BY_RCPT, BY_SENDER, HELD
from fastsmtp.spool.waiting import (
    LONGEST_KEY,
    OWN_DUE,
    SEVERAL,
    RcptState,
    Try,
    Waiting,
    address_key,
    decode_waiting,
    domain_key,
    domain_of,
    domain_rows,
    due_key,
    due_of,
    encode_waiting,
    flag_rows,
    held_rows,
    id_of,
    index_rows,
    most_tries,
)

ID = "0123456789abc"
END = b"\0" + ID.encode()


def envelope(*addresses: str, sender: str = "Jo@Sub.X.test") -> Envelope:
    return Envelope(ID, sender, [Recipient(a, "") for a in addresses], "192.0.2.1", "c", "ESMTP", 1.0)


def test_one_recipient_that_waits_with_its_site() -> None:
    waiting = Waiting(1.0, False, False, [RcptState(0, 0.0, (Try(2.0, 451, "4.3.0", "later", "mx"),))])
    assert index_rows(envelope("U@Far.test"), waiting) == {
        (BY_DOMAIN, b"test.far\0u" + END): b"",
        (BY_RCPT, b"u@far.test" + END): b"",
        (BY_SENDER, b"test.x.sub\0jo" + END): b"",
        (BY_FROM, b"jo@sub.x.test" + END): b"",
        (BY_CODE, b"451" + END): b"",
    }
    assert index_rows(envelope("U@Far.test"), None) == {}
    assert decode_waiting(encode_waiting(waiting), held=waiting.held) == waiting


def test_the_first_and_the_last_attempts_are_kept_and_the_others_counted() -> None:
    state = RcptState(3, 5.0)
    assert (state.attempts, state.last_at, state.code, state.text) == (0, 0.0, 0, "")
    for number in range(1, 8):
        state = state.tried(
            Try(float(number), 450 + number, "4.0.0", f"words {number}", "mx"), number + 0.5, 4
        )
        assert (state.attempts, state.last_at, state.code) == (number, number, 450 + number)
        assert (state.number, state.due, state.text) == (3, number + 0.5, f"words {number}")
    assert [one.at for one in state.tries] == [1.0, 5.0, 6.0, 7.0]
    assert state.left_out == 3
    moved = state.moved(9.0)
    assert (moved.due, moved.tries, moved.left_out) == (9.0, state.tries, 3)
    waiting = Waiting(1.0, True, False, [state], ("smtp://relay.test:25",))
    assert decode_waiting(encode_waiting(waiting), held=waiting.held) == waiting


def test_a_row_stays_one_that_a_commit_takes() -> None:
    assert most_tries(1) == 41
    assert all(count * most_tries(count) <= 2000 for count in range(1, 1001))
    assert most_tries(100_000) == 2
    once = Waiting(1.7e9, False, False, [RcptState(0, 0.0, (Try(1.7e9, 451, "4.3.0", "later", "mx"),))])
    assert len(encode_waiting(once)) < 60


def test_due_times_and_holding_show_in_flags() -> None:
    several = Waiting(1.0, False, False, [RcptState(0, due=5.5), RcptState(1), RcptState(2, due=4.25)])
    one = envelope("a@x.test", "b@y.test", "c@x.test")
    rows = index_rows(one, several)
    assert rows[BY_DOMAIN, b"test.x\0a" + END] == bytes((SEVERAL | OWN_DUE,))
    assert rows[BY_DOMAIN, b"test.y\0b" + END] == bytes((SEVERAL,))
    assert rows[BY_RCPT, b"a@x.test" + END] == bytes((SEVERAL,))
    assert (BY_DUE, due_key(4.25) + END) in rows
    assert (BY_CODE, b"000" + END) in rows
    assert several.due() == 4.25
    held = Waiting(1.0, False, True, several.rcpts)
    rows = index_rows(one, held)
    assert rows[BY_DOMAIN, b"test.y\0b" + END] == bytes((SEVERAL,))
    assert rows[HELD, ID.encode()] == b""
    assert not any(table is BY_DUE for table, _ in rows)
    assert flag_rows(one, held, domain_rows(one, held)).items() <= rows.items()
    before = index_rows(one, several)
    changed = {at for at in before.keys() | rows.keys() if before.get(at) != rows.get(at)}
    assert changed == set(held_rows(ID.encode(), held)), "holding much mail writes little"


def test_the_same_recipient_twice_waits_if_one_of_them_does() -> None:
    for rcpts in ([RcptState(0, due=5.0), RcptState(1)], [RcptState(0), RcptState(1, due=5.0)]):
        rows = index_rows(envelope("a@x.test", "a@x.test"), Waiting(1.0, False, False, rcpts))
        assert rows[BY_DOMAIN, b"test.x\0a" + END] == bytes((SEVERAL,))


def test_keys_are_bounded_and_read_back() -> None:
    for address in (
        "a" * 600 + "@far.test",
        "ü" * 400 + "@far.test",
        "a@" + "b." * 300,
        "",
        "postmaster",
        "a@[192.0.2.1]",
    ):
        for key in (address_key(address) + END, domain_key(address) + END):
            assert len(key) <= LONGEST_KEY
            assert id_of(key) == ID
    assert domain_of(domain_key("x@mail.far.test") + END) == "mail.far.test"
    assert domain_of(domain_key("x@[192.0.2.1]") + END) == "[192.0.2.1]"
    assert due_of(due_key(1234.567) + END) == round(1234.567, 3)
    assert due_key(1.0) < due_key(1.001) < due_key(256.0)
