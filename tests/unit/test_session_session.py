"""One session's answers: guard, router and intake asked, and the log told."""

from collections.abc import Iterator

import pytest

from fastsmtp.mail import reply
from fastsmtp.mail.address import NULL_SENDER, Address
from fastsmtp.mail.reply import Reply
from fastsmtp.session.session import Session
from fastsmtp.smtp.handler import PENDING, Challenge
from fastsmtp.spool.base import SpoolError, SpoolFailed, SpoolFull
from tests.fakes.service import World

ALICE = Address("alice", "local.test", "alice@local.test")
BOB = Address("Bob+x", "LOCAL.test", "Bob+x@LOCAL.test")
SENDER = Address("a", "b.test", "a@b.test")


class FakeWire:
    """A connection that keeps what its session asks of it."""

    def __init__(self) -> None:
        self.answers: list[Reply | Challenge | None] = []
        self.became: list[str] = []
        self.calls: list[str] = []

    def answer(self, reply: Reply | Challenge | None) -> None:
        self.answers.append(reply)

    def become(self, ip: str) -> Reply | None:
        self.became.append(ip)
        return None

    def pause_body(self) -> None:
        self.calls.append("pause")

    def resume_body(self) -> None:
        self.calls.append("resume")


class Case:
    """A session of a client at ``ip``."""

    def __init__(self, world: World, ip: str = "192.0.2.1") -> None:
        self.world = world
        self.wire = FakeWire()
        self.session = Session(world.service.context, world.service.listeners[0], ip, self.wire)

    def envelope(
        self, *recipients: Address, parameters: dict[str, str] | None = None, extended: bool = True
    ) -> None:
        self.session.on_hello("client.test", extended)
        assert self.session.on_mail(SENDER, parameters) is None
        for recipient in recipients or (ALICE,):
            assert self.session.on_rcpt(recipient, None) is None

    def message(self, body: bytes = b"x\r\n") -> None:
        assert self.session.on_data(False) is None
        self.session.on_body(body)
        assert self.session.on_body_end() is PENDING


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


@pytest.fixture
def case(world: World) -> Case:
    return Case(world)


def test_a_message(case: Case) -> None:
    case.envelope(ALICE, BOB, parameters={"SIZE": "3"})
    case.message()
    assert case.wire.answers == []
    assert case.world.logged() == []
    case.world.spool.commit()
    [(envelope, whole)] = case.world.spool.stored
    assert case.wire.answers == [reply.queued_as(envelope.id)]
    assert whole.endswith(b"\r\nx\r\n")
    assert [(one.address, one.mailbox) for one in envelope.recipients] == [
        ("alice@local.test", "alice@local.test"),
        ("Bob+x@LOCAL.test", "bob@local.test"),
    ]
    assert (envelope.sender, envelope.client_ip, envelope.helo) == ("a@b.test", "192.0.2.1", "client.test")
    assert envelope.params == {"SIZE": "3"}
    assert case.world.logged() == [
        f"received id={envelope.id} from=<a@b.test> to=<alice@local.test>,<Bob+x@LOCAL.test> size=3 "
        "client=192.0.2.1 helo=client.test with=ESMTP"
    ]


@pytest.mark.parametrize(
    ("extended", "parameters", "protocol"),
    [
        (False, None, "SMTP"),
        (True, None, "ESMTP"),
        (True, {"BODY": "8BITMIME"}, "ESMTP"),
        (True, {"SMTPUTF8": ""}, "UTF8SMTP"),
    ],
)
def test_the_protocol_s_name(
    case: Case, extended: bool, parameters: dict[str, str] | None, protocol: str
) -> None:
    case.envelope(parameters=parameters, extended=extended)
    case.message()
    case.world.spool.commit()
    [(envelope, whole)] = case.world.spool.stored
    assert envelope.protocol == protocol
    assert f"with {protocol} id".encode() in whole


def test_recipient_parameters_are_kept(case: Case) -> None:
    case.session.on_mail(NULL_SENDER, None)
    case.session.on_rcpt(ALICE, {"NOTIFY": "NEVER"})
    case.message()
    case.world.spool.commit()
    assert case.world.spool.stored[0][0].recipients[0].params == {"NOTIFY": "NEVER"}
    assert case.world.spool.stored[0][1].startswith(b"Return-Path: <>\r\n")


def test_a_recipient_named_twice_gets_one_copy(case: Case) -> None:
    case.envelope(ALICE)
    again = [
        ALICE,
        Address("ALICE", "local.test", "ALICE@local.test"),
        Address("alice+t", "local.test", "alice+t@local.test"),
    ]
    for address in again:
        assert case.session.on_rcpt(address, None) == reply.RECIPIENT_AGAIN
    assert case.session.on_rcpt(BOB, None) is None
    assert case.session.on_rcpt(BOB, None) == reply.RECIPIENT_AGAIN
    # postmaster is alice here
    assert case.session.on_rcpt(Address("postmaster", "", "postmaster"), None) == reply.RECIPIENT_AGAIN
    case.message()
    case.world.spool.commit()
    assert [one.mailbox for one in case.world.spool.stored[0][0].recipients] == [
        "alice@local.test",
        "bob@local.test",
    ]


def test_the_next_transaction_knows_nothing_of_the_last(case: Case) -> None:
    case.envelope(ALICE, BOB, parameters={"SMTPUTF8": ""})
    case.message()
    case.envelope(BOB, ALICE)
    case.message(b"second\r\n")
    case.world.spool.commit()
    first, second = (envelope for envelope, _ in case.world.spool.stored)
    assert [one.mailbox for one in first.recipients] == ["alice@local.test", "bob@local.test"]
    assert [one.mailbox for one in second.recipients] == ["bob@local.test", "alice@local.test"]
    assert second.protocol == "ESMTP"
    assert first.id != second.id


@pytest.mark.parametrize(
    ("address", "answer"),
    [
        (Address("nobody", "local.test", "nobody@local.test"), reply.MAILBOX_UNKNOWN),
        (Address("x", "other.test", "x@other.test"), reply.RELAY_DENIED),
    ],
)
def test_the_router_refuses(case: Case, address: Address, answer: Reply) -> None:
    case.session.on_mail(SENDER, None)
    assert case.session.on_rcpt(address, None) == answer
    assert case.world.logged() == [
        f"rejected stage=RCPT client=192.0.2.1 from=<a@b.test> to=<{address.text}> "
        f'reply="550 {answer.status} {answer.text[0]}"'
    ]


def test_a_client_that_may_relay_is_told_apart(world: World) -> None:
    case = Case(world, ip="198.51.100.7")
    case.session.on_mail(SENDER, None)
    assert case.session.on_rcpt(Address("x", "other.test", "x@other.test"), {"NOTIFY": "NEVER"}) is None
    case.message()
    world.spool.commit()
    [(envelope, _)] = world.spool.stored
    assert [(one.address, one.mailbox, one.params) for one in envelope.recipients] == [
        ("x@other.test", "", {"NOTIFY": "NEVER"})
    ]


ALIASES = {
    "team@local.test": ("alice@local.test", "bob@local.test"),
    "bobs@local.test": ("bob@local.test",),
    "out@local.test": ("alice@local.test", "x@far.test"),
    "@local.test": ("alice@local.test",),
}
TEAM = Address("team", "local.test", "team@local.test")
BOBS = Address("bobs", "local.test", "bobs@local.test")


def test_an_alias_becomes_its_recipients() -> None:
    world = World(aliases=ALIASES)
    case = Case(world)
    case.envelope(TEAM)
    case.message()
    world.spool.commit()
    [(envelope, whole)] = world.spool.stored
    assert [(one.address, one.mailbox, one.original, one.sender) for one in envelope.recipients] == [
        ("alice@local.test", "alice@local.test", "team@local.test", None),
        ("bob@local.test", "bob@local.test", "team@local.test", None),
    ]
    assert b"for <" not in whole
    world.close()


def test_one_copy_over_aliases() -> None:
    world = World(aliases=ALIASES)
    case = Case(world)
    case.envelope(BOBS, TEAM)
    for again in (TEAM, BOBS, ALICE, BOB):
        assert case.session.on_rcpt(again, None) == reply.RECIPIENT_AGAIN
    case.message()
    world.spool.commit()
    [(envelope, _)] = world.spool.stored
    assert [(one.mailbox, one.original) for one in envelope.recipients] == [
        ("bob@local.test", "bobs@local.test"),
        ("alice@local.test", "team@local.test"),
    ]
    world.close()


def test_what_an_alias_stands_for_is_not_disclosed() -> None:
    world = World(aliases=ALIASES)
    case = Case(world)
    case.envelope(BOBS)
    case.message()
    world.spool.commit()
    assert b"for <bobs@local.test>" in world.spool.stored[0][1]
    world.close()


def test_an_alias_may_stand_for_somebody_elsewhere() -> None:
    world = World(aliases=ALIASES)
    case = Case(world)
    case.envelope(Address("out", "local.test", "out@local.test"))
    case.message()
    world.spool.commit()
    [(envelope, _)] = world.spool.stored
    assert [(one.address, one.mailbox) for one in envelope.recipients] == [
        ("alice@local.test", "alice@local.test"),
        ("x@far.test", ""),
    ]
    world.close()


def test_a_sender_who_asks_hears_of_an_alias_once_and_not_of_each_behind_it() -> None:
    world = World(aliases=ALIASES)
    told: list[tuple[str, list[str], bytes, int]] = []
    world.service.context.expanded = lambda envelope, aliases, start, size: told.append(
        (envelope.id, [alias.address for alias, _ in aliases], start, size)
    )
    case = Case(world)
    asked = {"NOTIFY": "SUCCESS,FAILURE"}
    case.session.on_mail(SENDER, None)
    assert case.session.on_rcpt(TEAM, asked) is None
    assert case.session.on_rcpt(Address("out", "local.test", "out@local.test"), {"NOTIFY": "FAILURE"}) is None
    case.message()
    assert not told, "only when it is stored"
    world.spool.commit()
    [(envelope, whole)] = world.spool.stored
    assert [(one.address, one.params) for one in envelope.recipients] == [
        ("alice@local.test", {"NOTIFY": "FAILURE"}),
        ("bob@local.test", {"NOTIFY": "FAILURE"}),
        ("x@far.test", {"NOTIFY": "FAILURE"}),
    ]
    [(queue_id, aliases, start, size)] = told
    assert (queue_id, aliases) == (envelope.id, ["team@local.test"])
    assert (start, size) == (whole, len(whole))
    world.close()


def test_an_alias_with_one_address_hands_the_wish_on() -> None:
    world = World(aliases=ALIASES)
    told: list[object] = []
    world.service.context.expanded = lambda *what: told.append(what)
    case = Case(world)
    case.session.on_mail(SENDER, None)
    assert case.session.on_rcpt(BOBS, {"NOTIFY": "SUCCESS"}) is None
    case.message()
    world.spool.commit()
    assert world.spool.stored[0][0].recipients[0].params == {"NOTIFY": "SUCCESS"}
    assert not told
    world.close()


def test_aliases_bring_a_message_to_no_more_recipients_than_allowed() -> None:
    users = ("alice", "b", "c", "d", "e", "f")
    names = [f"{user}@local.test" for user in users]
    world = World(users=users, aliases={"one@local.test": (names[5],), "all@local.test": tuple(names[:5])})
    case = Case(world)
    case.envelope(Address("one", "local.test", "one@local.test"))
    everybody = Address("all", "local.test", "all@local.test")
    assert case.session.on_rcpt(everybody, None) == reply.TOO_MANY_RECIPIENTS
    assert world.logged()[0].endswith('to=<all@local.test> reply="452 4.5.3 too many recipients"')
    case.message()
    case.envelope(everybody)
    case.message()
    world.spool.commit()
    assert [len(envelope.recipients) for envelope, _ in world.spool.stored] == [1, 5]
    world.close()


def test_a_message_that_goes_in_circles() -> None:
    world = World()
    case = Case(world)
    case.envelope()
    assert case.session.on_data(False) is None
    case.session.on_body(b"Received: x\r\n" * 101 + b"\r\nbody\r\n")
    assert case.session.on_body_end() == reply.TOO_MANY_HOPS
    assert world.spool.waiting == []
    assert world.logged()[0].startswith(
        'rejected stage=DATA client=192.0.2.1 from=<a@b.test> reply="554 5.4.6'
    )
    case.envelope()
    case.message(b"Received: x\r\n" * 100 + b"\r\n" + b"Received: x\r\n" * 100)
    world.spool.commit()
    assert len(world.spool.stored) == 1
    world.close()


def test_a_large_message_that_goes_in_circles() -> None:
    """Its header outgrows what is kept in memory."""
    world = World()
    case = Case(world)
    case.envelope()
    assert case.session.on_data(False) is None
    for _ in range(101):
        case.session.on_body(b"Received: " + b"x" * 500 + b"\r\n")
    case.session.on_body(b"\r\nbody\r\n")
    assert case.session.on_body_end() == reply.TOO_MANY_HOPS
    assert world.spool.files[0].aborted
    world.close()


@pytest.mark.parametrize(
    ("error", "answer"), [(SpoolFull("x"), reply.SPOOL_FULL), (SpoolFailed("x"), reply.SPOOL_FAILED)]
)
def test_a_spool_in_trouble_refuses_at_mail(case: Case, error: SpoolError, answer: Reply) -> None:
    case.world.spool.trouble = error
    for _ in range(5):
        assert case.session.on_mail(SENDER, None) == answer
    # those were not counted against the client
    case.world.spool.trouble = None
    assert case.session.on_mail(SENDER, None) is None
    assert len(case.world.logged()) == 5


def test_a_spool_that_fails_after_mail_refuses_at_data(case: Case) -> None:
    case.envelope()
    case.world.spool.trouble = SpoolFull("x")
    assert case.session.on_data(False) == reply.SPOOL_FULL
    assert case.world.logged()[0].startswith("rejected stage=DATA client=192.0.2.1 from=<a@b.test> reply=")
    case.session.on_reset()


@pytest.mark.parametrize(
    ("error", "answer"), [(SpoolFull("x"), reply.SPOOL_FULL), (SpoolFailed("x"), reply.SPOOL_FAILED)]
)
def test_a_message_that_could_not_be_stored(case: Case, error: SpoolError, answer: Reply) -> None:
    case.envelope()
    case.message()
    case.world.spool.commit(error)
    assert case.wire.answers == [answer]
    assert case.world.logged() == [
        f'rejected stage=DATA client=192.0.2.1 from=<a@b.test> reply="{answer.code} {answer.status} {answer.text[0]}"'
    ]


def test_a_reset_leaves_nothing_behind(case: Case) -> None:
    case.envelope()
    case.session.on_reset()
    case.envelope()
    assert case.session.on_data(False) is None
    case.session.on_body(b"x" * 10_000)
    case.session.on_reset()
    assert case.world.spool.files[0].aborted
    assert case.world.spool.waiting == []
    case.session.on_reset()


def test_a_body_at_fault_leaves_nothing_behind(case: Case) -> None:
    case.envelope()
    assert case.session.on_data(False) is None
    case.session.on_body(b"x" * 10_000)
    case.session.on_body_refused(reply.BARE_LF)
    assert case.world.spool.files[0].aborted
    assert case.world.logged() == [
        f'rejected stage=DATA client=192.0.2.1 from=<a@b.test> reply="554 5.6.0 {reply.BARE_LF.text[0]}"'
    ]


def test_back_pressure_reaches_the_connection(case: Case) -> None:
    case.world.spool.room = 5000
    case.envelope()
    assert case.session.on_data(False) is None
    case.session.on_body(b"x" * 5000)
    assert case.wire.calls == []
    case.session.on_body(b"x")
    assert case.wire.calls == ["pause"]
    case.world.spool.files[0].drain()
    assert case.wire.calls == ["pause", "resume"]


@pytest.mark.parametrize("refused", [False, True])
def test_a_last_piece_too_many_does_not_stop_the_reading_for_good(case: Case, refused: bool) -> None:
    """What follows the body is a command, and no room in the body's queue is awaited any more."""
    case.world.spool.room = 5000
    case.envelope()
    assert case.session.on_data(False) is None
    case.session.on_body(b"x" * 5001)
    assert case.wire.calls == ["pause"]
    if refused:
        case.session.on_body_refused(reply.TOO_BIG)
    else:
        assert case.session.on_body_end() is PENDING
    assert case.wire.calls == ["pause", "resume"]


def test_a_client_that_left_is_told_nothing(case: Case) -> None:
    case.world.spool.room = 5000
    case.envelope()
    case.message(b"x" * 10_000)
    case.session.close()
    case.world.spool.files[0].drain()
    case.world.spool.commit()
    assert case.wire.answers == []
    assert case.wire.calls == ["pause", "resume"]
    # but the message is received, and the log says so
    assert case.world.logged()[0].startswith("received id=ID00000001 ")


def test_a_client_that_left_in_its_body(case: Case) -> None:
    case.world.spool.room = 5000
    case.envelope()
    assert case.session.on_data(False) is None
    case.session.on_body(b"x" * 5000)
    file = case.world.spool.files[0]
    case.session.close()
    case.session.on_body(b"x")
    file.drain()
    assert case.wire.calls == []


def test_an_end_without_a_beginning_is_a_defect(case: Case) -> None:
    with pytest.raises(RuntimeError, match="never began"):
        case.session.on_body_end()
    case.session.on_body(b"x")  # of a message already given up: nobody's
