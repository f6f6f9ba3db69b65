"""From a mechanism over challenges to a verdict: what is offered, what is asked, what is said, what is logged."""

import base64
from typing import Any

import pytest
import scramp

from fastsmtp.accounts.base import PASSWORD, SCRAM, Identity, ScramKeys
from fastsmtp.mail.reply import (
    AUTH_MALFORMED,
    AUTH_NEEDS_TLS,
    AUTH_REFUSED,
    AUTH_UNAVAILABLE,
    AUTH_UNKNOWN,
    Reply,
)
from fastsmtp.session.auth import Channel, Step
from tests.fakes.accounts import FakeAuthenticator
from tests.fakes.logins import END_POINT, TLS, UNBOUND, FakePenalties, FakeTokens, World

CLEAR = Channel("192.0.2.7", False, False, None)
LOOPBACK = Channel("127.0.0.1", False, True, None)
ALICE = Identity("alice@example.org")
BARRED = Reply(421, "7.0", "too many logins failed, try later")


def plain(login: str = "alice@example.org", password: str = "secret", authorization: str = "") -> bytes:
    return f"{authorization}\0{login}\0{password}".encode()


def xoauth2(token: str, user: str = "alice@example.org") -> bytes:
    return f"user={user}\1auth=Bearer {token}\1\1".encode()


class Scram:
    """A client of somebody else that logs in by SCRAM."""

    def __init__(
        self, login: str = "alice@example.org", password: str = "secret", *, plus: bool = False
    ) -> None:
        name = "SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256"
        binding = ("tls-server-end-point", END_POINT) if plus else None
        self._client = scramp.ScramClient([name], login, password, channel_binding=binding)
        self.name = name

    @property
    def first(self) -> bytes:
        return str(self._client.get_client_first()).encode()

    def final(self, challenge: Step | None) -> bytes:
        assert isinstance(challenge, bytes)
        self._client.set_server_first(challenge.decode())
        return str(self._client.get_client_final()).encode()

    def believes(self, signature: Step | None) -> bool:
        assert isinstance(signature, bytes)
        self._client.set_server_final(signature.decode())
        return True


# --- what is offered ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channel", "settings", "served", "tokens", "offered"),
    [
        (TLS, {}, PASSWORD | SCRAM, False, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"),
        (TLS, {}, PASSWORD | SCRAM, True, "SCRAM-SHA-256-PLUS SCRAM-SHA-256 OAUTHBEARER XOAUTH2 PLAIN LOGIN"),
        (UNBOUND, {}, PASSWORD | SCRAM, False, "SCRAM-SHA-256 PLAIN LOGIN"),
        (TLS, {}, PASSWORD, False, "PLAIN LOGIN"),
        (TLS, {}, frozenset(), False, ""),
        (TLS, {}, frozenset(), True, "OAUTHBEARER XOAUTH2"),
        (TLS, {"mechanisms": ("LOGIN", "PLAIN", "LOGIN")}, PASSWORD | SCRAM, True, "LOGIN PLAIN"),
        (TLS, {"mechanisms": ()}, PASSWORD | SCRAM, True, ""),
        (CLEAR, {}, PASSWORD | SCRAM, True, ""),
        (CLEAR, {"clear_on_loopback": True}, PASSWORD | SCRAM, True, ""),
        (LOOPBACK, {}, PASSWORD | SCRAM, True, ""),
        (LOOPBACK, {"clear_on_loopback": True}, PASSWORD | SCRAM, False, "SCRAM-SHA-256 PLAIN LOGIN"),
    ],
)
def test_what_is_offered(
    channel: Channel, settings: dict[str, Any], served: frozenset[str], tokens: bool, offered: str
) -> None:
    world = World(FakeAuthenticator(mechanisms=served), tokens=FakeTokens() if tokens else None, **settings)
    assert " ".join(world.logins.offered(channel)) == offered


@pytest.mark.parametrize(
    ("channel", "mechanism", "reply"),
    [
        (TLS, "GSSAPI", AUTH_UNKNOWN),
        (TLS, "", AUTH_UNKNOWN),
        (TLS, "XOAUTH2", AUTH_UNKNOWN),
        (UNBOUND, "SCRAM-SHA-256-PLUS", AUTH_UNKNOWN),
        (CLEAR, "plain", AUTH_NEEDS_TLS),
        (LOOPBACK, "SCRAM-SHA-256", AUTH_NEEDS_TLS),
        (CLEAR, "GSSAPI", AUTH_UNKNOWN),
    ],
)
def test_what_is_not_offered(channel: Channel, mechanism: str, reply: Reply) -> None:
    world = World()
    assert world.logins.begin(channel, mechanism, world.steps.append) == reply
    assert world.book.lines == []


# --- passwords ----------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_plain(later: bool) -> None:
    world = World(FakeAuthenticator(later=later))
    step = world.begin("plain").start(plain())
    world.accounts.answer()
    assert [step or world.steps.pop()] == [ALICE]
    assert world.book.lines == [("192.0.2.7", "PLAIN", "alice@example.org", None)]


def test_plain_without_an_initial_response() -> None:
    world = World()
    login = world.begin("PLAIN")
    assert login.start(None) == b""
    assert login.receive(plain("Alice@EXAMPLE.org")) == ALICE
    assert world.book.lines == [("192.0.2.7", "PLAIN", "alice@example.org", None)]


@pytest.mark.parametrize("initial", [None, b"alice"])
def test_login(initial: bytes | None) -> None:
    login = World().begin("LOGIN")
    step = login.start(initial)
    if initial is None:
        assert step == b"Username:"
        step = login.receive(b"alice")
    assert step == b"Password:"
    assert login.receive(b"secret") == ALICE


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize(
    ("message", "reply", "login", "reason"),
    [
        (plain(password="wrong"), AUTH_REFUSED, "alice@example.org", "wrong password"),
        (plain("nobody@example.org"), AUTH_REFUSED, "nobody@example.org", "no such account"),
        (plain("x\n y"), AUTH_REFUSED, "x\n y", "no such account"),
        (plain("a\u0007b"), AUTH_REFUSED, "a\u0007b", "no such account"),
        (b"\0\0secret", AUTH_MALFORMED, "", "PLAIN: the name or the password is missing"),
        (b"\xff\0alice\0secret", AUTH_MALFORMED, "", "PLAIN: a name that is not UTF-8"),
    ],
)
def test_plain_that_is_refused(later: bool, message: bytes, reply: Reply, login: str, reason: str) -> None:
    world = World(FakeAuthenticator(later=later))
    step = world.begin("PLAIN").start(message)
    world.accounts.answer()
    assert [step or world.steps.pop()] == [reply]
    assert world.book.lines == [("192.0.2.7", "PLAIN", login, reason)]


def test_nothing_can_be_told_now() -> None:
    penalties = FakePenalties()
    world = World(penalties=penalties)
    world.accounts.failing = "the database is away"
    assert world.begin("PLAIN").start(plain()) == AUTH_UNAVAILABLE
    assert world.begin("SCRAM-SHA-256").start(Scram().first) == AUTH_UNAVAILABLE
    assert world.reasons == ["the database is away"] * 2
    assert penalties.told == [], "that is not the client's fault"


@pytest.mark.parametrize(
    ("authorization", "good"),
    [
        ("", True),
        ("alice@example.org", True),
        ("ALICE@Example.ORG", True),
        ("bob@example.org", False),
        ("alice@example.com", False),
        ("root", False),
    ],
)
def test_one_acts_as_nobody_else(authorization: str, good: bool) -> None:
    world = World(tokens=FakeTokens())
    step = world.begin("PLAIN").start(plain(authorization=authorization))
    assert step == (ALICE if good else AUTH_REFUSED)
    login = world.begin("OAUTHBEARER")
    bearer = f"n,{authorization and f'a={authorization}'},\1auth=Bearer good\1\1".encode()
    step = login.start(bearer)
    assert (step if good else login.receive(b"\1")) == (ALICE if good else AUTH_REFUSED)
    assert world.reasons == [None if good else "the client wants to act as somebody else"] * 2


# --- SCRAM --------------------------------------------------------------------------------------


@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_scram(plus: bool, later: bool) -> None:
    world, client = World(FakeAuthenticator(later=later)), Scram(plus=plus)
    login = world.begin(client.name)
    step = login.start(client.first)
    world.accounts.answer()
    assert client.believes(login.receive(client.final(step or world.steps.pop())))
    assert login.receive(b"") == ALICE
    assert world.book.lines == [("192.0.2.7", client.name, "alice@example.org", None)]


def test_scram_tells_no_login_from_another() -> None:
    world = World()
    for name, password in (("alice", "wrong"), ("nobody", "secret"), ("nobody", "wrong")):
        client = Scram(name, password)
        login = world.begin(client.name)
        assert login.receive(client.final(login.start(client.first))) == AUTH_REFUSED
    assert world.reasons == ["wrong password", "no such account", "no such account"]


def test_keys_that_are_made_up_are_nobodys() -> None:
    """Whatever the proof."""

    class Guessed(FakeAuthenticator):
        def scram(self, login: str, told: Any) -> ScramKeys:
            keys = super().scram("alice", told)
            assert isinstance(keys, ScramKeys)
            return ScramKeys(keys.salt, keys.iterations, keys.stored_key, keys.server_key, None)

    world, client = World(Guessed()), Scram()
    login = world.begin(client.name)
    assert client.believes(login.receive(client.final(login.start(client.first))))
    assert login.receive(b"") == AUTH_REFUSED
    assert world.reasons == ["no such account"]


def test_scram_of_a_client_that_was_not_shown_plus() -> None:
    world = World()
    first = b"y," + Scram().first.partition(b",")[2]
    assert world.begin("SCRAM-SHA-256").start(first) == AUTH_REFUSED
    assert "not shown" in str(world.reasons)
    assert isinstance(world.begin("SCRAM-SHA-256", UNBOUND).start(first), bytes)


def test_scram_that_is_none() -> None:
    world = World()
    assert world.begin("SCRAM-SHA-256").start(b"n,,n=alice") == AUTH_MALFORMED
    login = world.begin("SCRAM-SHA-256")
    assert login.start(None) == b""
    assert isinstance(login.receive(Scram().first), bytes)
    assert login.receive(base64.b64encode(b"secret")) == AUTH_MALFORMED
    assert "secret" not in str(world.book.lines)


def test_scram_of_another_connection() -> None:
    world, client = World(), Scram(plus=True)
    elsewhere = Channel("192.0.2.7", True, False, bytes(32))
    login = world.begin(client.name, elsewhere)
    assert login.receive(client.final(login.start(client.first))) == AUTH_REFUSED
    assert "between" in str(world.reasons)


# --- tokens -------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_a_token(later: bool) -> None:
    tokens = FakeTokens(later=later)
    world = World(FakeAuthenticator(later=later), tokens=tokens)
    step = world.begin("XOAUTH2").start(xoauth2("good"))
    for call in tokens.waiting:
        call()
    world.accounts.answer()
    assert [step or world.steps.pop()] == [ALICE]


@pytest.mark.parametrize(
    ("token", "login", "reason"),
    [
        ("bad", "alice@example.org", "token: no good"),
        ("good", "nobody@example.org", "no such account"),
        ("good", "bob@example.org", "the client wants to act as somebody else"),
    ],
)
@pytest.mark.parametrize("mechanism", ["XOAUTH2", "OAUTHBEARER"])
def test_a_token_that_is_refused(mechanism: str, token: str, login: str, reason: str) -> None:
    accounts = FakeAuthenticator({"alice@example.org": "", "bob@example.org": ""})
    world = World(accounts, tokens=FakeTokens(login))
    message = xoauth2(token)
    if mechanism == "OAUTHBEARER":
        message = f"n,a=alice@example.org,\1auth=Bearer {token}\1\1".encode()
    exchange = world.begin(mechanism)
    challenge = exchange.start(message)
    assert isinstance(challenge, bytes)
    assert challenge.startswith(b'{"status":')
    assert world.book.lines == [], "it is not over"
    assert exchange.receive(b"\1") == AUTH_REFUSED
    assert world.reasons == [reason]


def test_a_client_that_asks_what_is_wanted() -> None:
    world = World(tokens=FakeTokens())
    login = world.begin("OAUTHBEARER")
    assert login.start(b"n,,\1auth=\1\1") == b'{"status":"invalid_token"}'
    assert login.receive(b"\1") == AUTH_REFUSED


def test_tokens_that_cannot_be_checked() -> None:
    world = World(tokens=FakeTokens())
    assert world.begin("XOAUTH2").start(xoauth2("unknown")) == AUTH_UNAVAILABLE
    assert world.reasons == ["no keys"]


# --- faults of ours --------------------------------------------------------------------------------


class Faulty(FakeAuthenticator):
    """Answers with what nobody expects."""

    def __init__(self, *, later: bool) -> None:
        super().__init__(later=later)

    def _tell(self, login: str, judge: Any, told: Any) -> Any:
        if not self.later:
            raise IndexError("secret")
        self._waiting.append(lambda: told(None))
        return None


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
@pytest.mark.parametrize(
    ("mechanism", "message"),
    [
        ("PLAIN", plain()),
        ("XOAUTH2", xoauth2("good")),
        ("SCRAM-SHA-256", b"n,,n=alice@example.org,r=nonce"),
    ],
)
def test_a_fault_of_ours_is_told_once_and_blames_nobody(mechanism: str, message: bytes, later: bool) -> None:
    penalties = FakePenalties()
    world = World(Faulty(later=later), tokens=FakeTokens(), penalties=penalties)
    step = world.begin(mechanism).start(message)
    world.accounts.answer()
    assert [step or world.steps.pop()] == [AUTH_UNAVAILABLE]
    (reason,) = world.reasons
    assert str(reason).startswith("internal error, ")
    assert penalties.told == []


def test_a_fault_over_a_token_that_waited() -> None:
    tokens = FakeTokens(later=True)
    world = World(Faulty(later=False), tokens=tokens)
    assert world.begin("OAUTHBEARER").start(b"n,,\1auth=Bearer good\1\1") is None
    tokens.waiting.pop()()
    assert world.steps == [AUTH_UNAVAILABLE]
    assert "internal error, IndexError" in str(world.reasons)


# --- penalties, and clients that go ---------------------------------------------------------------


def test_penalties_are_told() -> None:
    penalties = FakePenalties()
    world = World(penalties=penalties)
    world.begin("PLAIN").start(plain(password="wrong"))
    world.begin("PLAIN").start(b"")
    world.begin("PLAIN").start(plain("ALICE@example.org"))
    assert penalties.told == [
        ("192.0.2.7", "alice@example.org"),
        ("192.0.2.7", ""),
    ]


@pytest.mark.parametrize(
    "login", ["ALICE@Example.Org", "a\u00adlice@example.org", "alice@exa\u00admple\u3002org"]
)
def test_failures_count_for_the_account_however_it_is_spelled(login: str) -> None:
    penalties = FakePenalties()
    World(penalties=penalties).begin("PLAIN").start(plain(login, "wrong"))
    assert penalties.told == [("192.0.2.7", "alice@example.org")]


@pytest.mark.parametrize("later", [False, True], ids=["at once", "later"])
def test_a_refusal_that_waits(later: bool) -> None:
    world = World(FakeAuthenticator(later=later), penalties=FakePenalties(seconds=2.5))
    assert world.begin("PLAIN").start(plain(password="wrong")) is None
    world.accounts.answer()
    assert world.steps == []
    ((seconds, call),) = world.delays
    assert seconds == 2.5
    call()
    assert world.steps == [AUTH_REFUSED]


def test_a_client_that_may_not_try() -> None:
    world = World(penalties=FakePenalties(barred=BARRED))
    assert world.logins.begin(TLS, "PLAIN", world.steps.append) == BARRED
    assert world.logins.begin(TLS, "GSSAPI", world.steps.append) == AUTH_UNKNOWN
    assert world.accounts.asked == []


def test_guesses_under_way_are_told_nothing_once_the_address_is_barred() -> None:
    penalties = FakePenalties()
    world = World(FakeAuthenticator(later=True), penalties=penalties)
    for password in ("secret", "wrong"):
        assert world.begin("PLAIN").start(plain(password=password)) is None
    penalties.reply = BARRED
    world.accounts.answer()
    assert world.steps == [BARRED, BARRED]
    assert penalties.told == []
    assert world.reasons == ["too many logins have failed from its address"] * 2


@pytest.mark.parametrize("password", ["secret", "wrong"])
def test_an_exchange_ends_once_the_address_is_barred(password: str) -> None:
    penalties = FakePenalties()
    world = World(penalties=penalties)
    client = Scram(password=password)
    login = world.begin(client.name)
    final = client.final(login.start(client.first))
    penalties.reply = BARRED
    assert login.receive(final) == BARRED
    assert penalties.told == []


def test_a_client_that_has_gone() -> None:
    world = World(FakeAuthenticator(later=True), penalties=FakePenalties(seconds=1))
    for password in ("secret", "wrong"):
        login = world.begin("PLAIN")
        assert login.start(plain(password=password)) is None
        login.forget()
    world.accounts.answer()
    for _, call in world.delays:
        call()
    assert world.steps == []
