"""Who may send to whom, on which listener: each cell of `open_relay.txt` is walked, on both dialogues.

A cell says ``here`` where the message is stored for a mailbox, ``away`` where it is stored to be sent on, or the code
and status of the reply that refuses it, at MAIL or RCPT; ``closed`` where nobody is spoken to. ``login`` is the reply
to AUTH, ``*`` every recipient that stands in the first block. Columns: a stranger; a host of the trusted networks;
alice, who logs in; somebody whose account is disabled; and one whose account is disabled after the login.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastsmtp.session import connection
from fastsmtp.tls.store import CertificateStore
from tests.fakes.accounts import FakeAuthenticator, FakeNames
from tests.fakes.routing import FRIEND, STRANGER, tables
from tests.fakes.service import World
from tests.fakes.session import IMPLEMENTATIONS
from tests.fakes.tls_session import TlsSession
from tests.fakes.transport import FakeTransport
from tests.tools.tls_pairs import store_for

WHO = ("stranger", "trusted", "alice", "disabled", "dismissed")
DOORS = tuple(
    (protocol, stage)
    for protocol in ("smtp", "submission", "submissions", "lmtp")
    for stage in ("clear", "TLS")
)
LOGINS = {"alice": "alice@example.org", "disabled": "bob@example.org", "dismissed": "dora@example.org"}
PLAIN = {
    "alice": b"AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA==",
    "disabled": b"AGJvYkBleGFtcGxlLm9yZwBzZWNyZXQ=",
    "dismissed": b"AGRvcmFAZXhhbXBsZS5vcmcAc2VjcmV0",
}
"""Each with the password ``secret``."""

Door = tuple[str, str]
Table = dict[Door, dict[str, list[str]]]


def read(text: str) -> Table:
    """The blocks of the file: for each door the row of each recipient."""
    found: Table = {}
    row: dict[str, list[str]] = {}
    first: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if not words or line.startswith("#"):
            continue
        if line.startswith("== "):
            first = first or list(row)
            row = found[words[1], words[2]] = {}
            continue
        assert len(words) == 1 + len(WHO), line
        names = [name for name in first if name not in row] if words[0] == "*" else words[:1]
        assert not row.keys() & names, line
        row.update(dict.fromkeys(names, words[1:]))
    return found


TABLE = read((Path(__file__).parent / "open_relay.txt").read_text("utf-8"))
RECIPIENTS = [name for name in TABLE["smtp", "clear"] if name != "login"]


class Line:
    """A connection in memory, in clear or under TLS."""

    def __init__(self, transport: FakeTransport) -> None:
        self._transport = transport
        self._tls: TlsSession | None = None

    def begin_tls(self) -> None:
        """The handshake."""
        self._tls = TlsSession(self._transport)
        self._tls.begin()

    @property
    def closed(self) -> bool:
        """Whether the server has hung up."""
        return self._transport.closing

    def say(self, data: bytes) -> None:
        """Send ``data``."""
        if self._tls is None:
            self._transport.feed(data)
        else:
            self._tls.object.write(data)

    def hear(self) -> bytes:
        """What has come since the last time."""
        return self._transport.take() if self._tls is None else self._tls.hear()

    def ask(self, line: bytes) -> str:
        """Say ``line``; code and status of the answer."""
        self.say(line + b"\r\n")
        heard = self.hear()
        found = re.match(rb"(\d{3})[ -](\d\.\d+\.\d+)?", heard)
        if found is None:
            assert self.closed, f"{line!r} is answered with {heard!r}"
            return "closed"
        return f"{found[1].decode()}/{(found[2] or b'').decode()}".rstrip("/")


class Walk(NamedTuple):
    """Everything of one column behind one door."""

    login: str
    cells: dict[str, str]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> CertificateStore:
    return store_for(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(connection, "ServerProtocol", IMPLEMENTATIONS[request.param])
    return str(request.param)


def walk(store: CertificateStore, door: Door, who: str, **more: Any) -> Walk:
    """One session behind ``door``; ``more`` changes the `tables`."""
    names = FakeNames(LOGINS.values())
    accounts = FakeAuthenticator(dict.fromkeys(LOGINS.values(), "secret"))
    accounts.disabled = {LOGINS["disabled"]}
    names.off = {LOGINS["disabled"]}
    world = World(
        listener={"protocol": door[0]},
        certificates=store,
        authenticator=accounts,
        errors=10_000,
    )
    settings: dict[str, Any] = {
        "domains": ("example.org", "bücher.test"),
        "users": ("alice", "bob", "dora"),
        "relay": ("corp.test",),
        "aliases": {"sales@example.org": ("alice@example.org",), "partner@example.org": ("her@far.test",)},
    } | more
    world.service.context.router.replace(tables(names=names, **settings))
    try:
        line = Line(world.connect(FRIEND if who == "trusted" else STRANGER))
        line.hear()
        login = _enter(line, door, who)
        if who == "dismissed":
            names.off.add(LOGINS[who])
            names.version += 1
        return Walk(login, {name: _cell(world, line, name, who, login) for name in RECIPIENTS})
    finally:
        world.close()


def _enter(line: Line, door: Door, who: str) -> str:
    """Greet, begin TLS, log in; the reply to the last."""
    protocol, stage = door
    hello = b"LHLO client.test" if protocol == "lmtp" else b"EHLO client.test"
    if protocol == "submissions" and stage == "TLS":
        line.begin_tls()
    if line.ask(hello) == "closed":
        return "closed"
    if protocol != "submissions" and stage == "TLS":
        assert line.ask(b"STARTTLS") == "220/2.0.0"
        line.begin_tls()
        assert line.ask(hello) == "250"
    return line.ask(b"AUTH PLAIN " + PLAIN[who]) if who in PLAIN else "-"


def _cell(world: World, line: Line, recipient: str, who: str, login: str) -> str:
    """Send a message to one; what comes of it."""
    if line.closed:
        return "closed"
    sender = LOGINS[who] if who in LOGINS and login.startswith("235") else "a@client.test"
    assert line.ask(b"RSET") == "250/2.0.0"
    answer = line.ask(f"MAIL FROM:<{sender}>{'' if recipient.isascii() else ' SMTPUTF8'}".encode())
    if answer.startswith("250"):
        answer = line.ask(f"RCPT TO:{recipient}".encode())
    if not answer.startswith("250"):
        return answer
    before = len(world.spool.stored)
    assert line.ask(b"DATA") == "354"
    line.say(b"Subject: x\r\n\r\n.\r\n")
    line.hear()
    world.spool.commit()
    assert line.hear().startswith(b"250")
    ((envelope, _),) = world.spool.stored[before:]
    (only,) = envelope.recipients
    return "here" if only.mailbox else "away"


def test_the_table_is_whole() -> None:
    assert tuple(TABLE) == DOORS
    assert all(list(rows) == ["login", *RECIPIENTS] for rows in TABLE.values())


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("door", DOORS, ids=" in ".join)
def test_each_cell(store: CertificateStore, core: str, door: Door, who: str) -> None:
    column = WHO.index(who)
    expected = {name: cells[column] for name, cells in TABLE[door].items()}
    found = walk(store, door, who)
    assert {"login": found.login, **found.cells} == expected


MAY_RELAY = {
    ("trusted", "smtp", "clear"),
    ("trusted", "smtp", "TLS"),
    ("alice", "smtp", "TLS"),
    ("alice", "submission", "TLS"),
    ("alice", "submissions", "TLS"),
}
"""Nobody else, and nowhere else."""

FOR_ANYBODY = {"<user@corp.test>", "<partner@example.org>"}
"""What the settings send on, whoever sends: a domain of relay.domains, an alias that leads elsewhere."""


def test_no_cell_is_an_open_relay() -> None:
    """The data itself."""
    for (protocol, stage), rows in TABLE.items():
        for recipient, cells in rows.items():
            for who, cell in zip(WHO, cells, strict=True):
                assert cell != "away" or (who, protocol, stage) in MAY_RELAY or recipient in FOR_ANYBODY, (
                    f"{who} sends by {protocol} in {stage} to {recipient}"
                )


@pytest.mark.parametrize(
    "more",
    [
        {"unknown_users": "create"},
        {"aliases": {"@example.org": ("alice@example.org",)}},
        {"relay": ("*.test",), "domains": ("example.org",)},
    ],
    ids=["users are created", "a catch-all", "all of a TLD is relayed"],
)
def test_nor_is_any_where_more_is_taken(store: CertificateStore, core: str, more: dict[str, Any]) -> None:
    """By settings that know nearly every address."""
    found = walk(store, ("smtp", "clear"), "stranger", **more)
    assert "here" in found.cells.values()
    away = {name for name, cell in found.cells.items() if cell == "away"}
    if "relay" not in more:
        assert away <= FOR_ANYBODY
    for name in away:
        local = name.rpartition(":")[2].rpartition("@")[0]
        assert not set(local) & set("%!@"), name
