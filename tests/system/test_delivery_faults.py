"""The table of docs/delivery.md, row by row: what a server does, and what becomes of the message."""

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.sasl.client import Credentials
from fastsmtp.transport.smtp.connection import Content, FileContent
from fastsmtp.transport.smtp.place import Place
from fastsmtp.transport.smtp.verdict import OK
from tests.fakes.outbound import MESSAGE, World, envelope, place, protection, reached, run, target
from tests.fakes.scripted_peer import EXTENSIONS, Act, Bytewise, Script, ScriptedPeer
from tests.tools.certificates import Authority

ROOT = Path(__file__).resolve().parent.parent.parent
GOODBYE = "421 4.3.2 going down"


@dataclass
class Fault:
    """A row: the script of the only host, what comes of it, and how it is told. ``hangs``: the stage the server
    comes to and never leaves, and the seconds after which it is given up. ``next``: whether a second host, which is
    friendly, would have got the message."""

    script: Script
    status: str
    code: int
    enhanced: str
    text: str
    site: str = "slow-down"
    next: bool = False
    hangs: tuple[str, float] | None = None
    level: str = "none"
    more: dict[str, Any] = field(default_factory=dict)


LARGE = (b"x" * 70 + b"\r\n") * 200_000
LONG = b"250-" + b"x" * 5000 + b"\r\n"

FAULTS: dict[str, Fault] = {
    # --- before a session ------------------------------------------------------------------------
    "greeting hangs": Fault(
        {"greeting": Act.HANG}, "deferred", 0, "4.4.2",
        "the server said nothing for 300 s while waiting for the greeting", "unreachable", True, ("greeting", 301),
    ),
    "greeting closes": Fault(
        {"greeting": Act.CLOSE}, "deferred", 0, "4.4.2",
        "the server closed the connection while waiting for the greeting", "unreachable", True,
    ),
    "greeting garbage": Fault(
        {"greeting": b"\x16\x03\x01 hello\r\n"}, "deferred", 0, "4.5.0",
        "what is not an SMTP reply came instead of the greeting", "unreachable", True,
    ),
    "greeting endless": Fault(
        {"greeting": Act.FLOOD}, "deferred", 0, "4.5.0",
        "a reply without end came instead of the greeting", "unreachable", True,
    ),
    "greeting 421": Fault({"greeting": "421 4.7.0 busy"}, "deferred", 421, "4.7.0", "4.7.0 busy", "slow-down", True),
    "greeting 450": Fault({"greeting": "450 not you"}, "deferred", 450, "4.2.0", "not you", "slow-down", True),
    "greeting 554": Fault({"greeting": "554 no"}, "deferred", 554, "4.3.2", "no", "unreachable", True),
    "greeting 521": Fault({"greeting": "521 no mail"}, "failed", 521, "5.3.2", "no mail", "unreachable", True),
    "ehlo hangs": Fault(
        {"ehlo": Act.HANG}, "deferred", 0, "4.4.2",
        "the server said nothing for 300 s while waiting for the answer to EHLO", "unreachable", True, ("ehlo", 301),
    ),
    "ehlo closes": Fault(
        {"ehlo": Act.CLOSE}, "deferred", 0, "4.4.2",
        "the server closed the connection while waiting for the answer to EHLO", "unreachable", True,
    ),
    "ehlo garbage": Fault(
        {"ehlo": b"hello yourself\r\n"}, "deferred", 0, "4.5.0",
        "what is not an SMTP reply came instead of the answer to EHLO", "unreachable", True,
    ),
    "ehlo 421": Fault({"ehlo": GOODBYE}, "deferred", 421, "4.3.2", "4.3.2 going down", "slow-down", True),
    "ehlo 5xx": Fault(
        {"ehlo": "502 what", "helo": "550 5.7.1 go away"}, "deferred", 550, "4.7.1", "5.7.1 go away", "unreachable",
        True,
    ),
    "ehlo endless lines": Fault(
        {"ehlo": b"250-x\r\n" * 200}, "deferred", 0, "4.5.0",
        "a reply without end came instead of the answer to EHLO", "unreachable", True,
    ),
    # --- TLS ----------------------------------------------------------------------------------------
    "tls not offered": Fault(
        {}, "deferred", 0, "4.7.4", "TLS is required, and the server does not offer it", "unreachable", True,
        level="encrypt",
    ),
    "starttls hangs": Fault(
        {"starttls": Act.HANG}, "deferred", 0, "4.4.2",
        "the server said nothing for 300 s while waiting for the answer to STARTTLS", "unreachable", True,
        ("starttls", 301), level="encrypt", more={"tls": "mx1.far.test"},
    ),
    "starttls closes": Fault(
        {"starttls": Act.CLOSE}, "deferred", 0, "4.4.2",
        "the server closed the connection while waiting for the answer to STARTTLS", "unreachable", True,
        level="encrypt", more={"tls": "mx1.far.test"},
    ),
    "tls refused": Fault(
        {"starttls": "454 4.7.0 not now"}, "deferred", 454, "4.7.0", "4.7.0 not now", "slow-down", True,
        level="encrypt", more={"tls": "mx1.far.test"},
    ),
    "tls garbage": Fault(
        {"tls": b"no TLS here\r\n" * 10}, "deferred", 0, "4.7.5", "TLS failed: wrong version number", "unreachable",
        True, level="encrypt", more={"tls": "mx1.far.test"},
    ),
    "tls closes": Fault(
        {"tls": Act.CLOSE}, "deferred", 0, "4.7.5", "TLS failed: connection closed in the handshake", "unreachable",
        True, level="encrypt", more={"tls": "mx1.far.test"},
    ),
    "tls hangs": Fault(
        {"tls": Act.HANG}, "deferred", 0, "4.4.2",
        "the server said nothing for 300 s while waiting for the TLS handshake", "unreachable", True, ("tls", 301),
        level="encrypt", more={"tls": "mx1.far.test"},
    ),
    "talk after STARTTLS": Fault(
        {"starttls": b"220 go\r\n250 injected\r\n"}, "deferred", 0, "4.5.0",
        "a reply came that nothing had asked for", "unreachable", True, level="encrypt",
        more={"tls": "mx1.far.test"},
    ),
    "certificate of nobody": Fault(
        {}, "deferred", 0, "4.7.5", "TLS failed: certificate: self-signed certificate in certificate chain",
        "unreachable", True, level="verify", more={"tls": "mx1.far.test"},
    ),
    "certificate for another": Fault(
        {}, "deferred", 0, "4.7.5", "TLS failed: certificate: Hostname mismatch", "unreachable", True,
        level="verify", more={"tls": "other.test", "trusted": True},
    ),
    # --- AUTH ---------------------------------------------------------------------------------------
    "auth not offered": Fault(
        {}, "deferred", 0, "4.7.0", "the server offers no AUTH that may be used", "unreachable", True,
        more={"auth": ""},
    ),
    "auth hangs": Fault(
        {"auth": Act.HANG}, "deferred", 0, "4.4.2",
        "the server said nothing for 300 s while waiting for the answer to AUTH", "unreachable", True, ("auth", 301),
        more={"auth": "SCRAM-SHA-256"},
    ),
    "auth closes": Fault(
        {"auth": Act.CLOSE}, "deferred", 0, "4.4.2",
        "the server closed the connection while waiting for the answer to AUTH", "unreachable", True,
        more={"auth": "SCRAM-SHA-256"},
    ),
    "auth garbage": Fault(
        {"auth": b"welcome\r\n"}, "deferred", 0, "4.5.0",
        "what is not an SMTP reply came instead of the answer to AUTH", "unreachable", True,
        more={"auth": "SCRAM-SHA-256"},
    ),
    "auth nonsense": Fault(
        {"auth": "334 bm9uc2Vuc2U=", "*": "501 5.7.0 cancelled"}, "deferred", 0, "4.7.0",
        "AUTH SCRAM-SHA-256: a SCRAM message is malformed", "unreachable", True, more={"auth": "SCRAM-SHA-256"},
    ),
    "auth 454": Fault(
        {"auth": "454 4.7.0 later"}, "deferred", 454, "4.7.0", "4.7.0 later", "slow-down", True,
        more={"auth": "SCRAM-SHA-256"},
    ),
    "auth 535": Fault(
        {"auth": "535 5.7.8 wrong password"}, "deferred", 535, "4.7.8", "5.7.8 wrong password", "unreachable", True,
        more={"auth": "SCRAM-SHA-256"},
    ),
    # --- MAIL ---------------------------------------------------------------------------------------
    "mail hangs": Fault(
        {"mail": Act.HANG}, "deferred", 0, "4.4.2",
        "the server said nothing for 300 s while waiting for the answer to MAIL", next=True, hangs=("mail", 301),
    ),
    "mail closes": Fault(
        {"mail": Act.CLOSE}, "deferred", 0, "4.4.2",
        "the server closed the connection while waiting for the answer to MAIL", next=True,
    ),
    "mail garbage": Fault(
        {"mail": b"huh?\r\n"}, "deferred", 0, "4.5.0",
        "what is not an SMTP reply came instead of the answer to MAIL", next=True,
    ),
    "mail endless": Fault(
        {"mail": Act.FLOOD}, "deferred", 0, "4.5.0", "a reply without end came instead of the answer to MAIL",
        next=True,
    ),
    "mail 421": Fault({"mail": GOODBYE}, "deferred", 421, "4.3.2", "4.3.2 going down", next=True),
    "mail 451": Fault({"mail": "451 4.3.0 later"}, "deferred", 451, "4.3.0", "4.3.0 later"),
    "mail 550": Fault({"mail": "550 5.1.8 bad"}, "failed", 550, "5.1.8", "5.1.8 bad", "ok"),
    "mail unlisted 4": Fault({"mail": "477 hm"}, "deferred", 477, "4.0.0", "hm"),
    "mail unlisted 5": Fault({"mail": "599 hm"}, "failed", 599, "5.0.0", "hm", "ok"),
    "mail 1xx": Fault(
        {"mail": "120 wait"}, "deferred", 0, "4.5.0", "a reply of the wrong kind came instead of the answer to MAIL",
        next=True,
    ),
    # --- RCPT ---------------------------------------------------------------------------------------
    "rcpt hangs": Fault(
        {"rcpt": Act.HANG}, "deferred", 0, "4.4.2",
        "the server said nothing for 300 s while waiting for the answer to RCPT", next=True, hangs=("rcpt", 301),
    ),
    "rcpt closes": Fault(
        {"rcpt": Act.CLOSE}, "deferred", 0, "4.4.2",
        "the server closed the connection while waiting for the answer to RCPT", next=True,
    ),
    "rcpt garbage": Fault(
        {"rcpt": b"25o ok\r\n"}, "deferred", 0, "4.5.0",
        "what is not an SMTP reply came instead of the answer to RCPT", next=True,
    ),
    "rcpt resets": Fault(
        {"rcpt": Act.RESET}, "deferred", 0, "4.4.2", "Connection reset by peer while waiting for the answer to RCPT",
        next=True,
    ),
    "rcpt 421": Fault({"rcpt": GOODBYE}, "deferred", 421, "4.3.2", "4.3.2 going down", next=True),
    "rcpt 450": Fault({"rcpt": "450 4.2.0 grey"}, "deferred", 450, "4.2.0", "4.2.0 grey", "ok"),
    "rcpt 550": Fault({"rcpt": "550 5.1.1 who?"}, "failed", 550, "5.1.1", "5.1.1 who?", "ok"),
    "rcpt wrong class": Fault({"rcpt": "550 2.1.5 ok"}, "failed", 550, "5.1.0", "2.1.5 ok", "ok"),
    "rcpt controls": Fault({"rcpt": b"550 \x1b[31m\x00red\r\n"}, "failed", 550, "5.1.0", "?[31m?red", "ok"),
    # --- DATA ---------------------------------------------------------------------------------------
    "data hangs": Fault(
        {"data": Act.HANG}, "deferred", 0, "4.4.2",
        "the server said nothing for 120 s while waiting for the answer to DATA", next=True, hangs=("data", 121),
    ),
    "data closes": Fault(
        {"data": Act.CLOSE}, "deferred", 0, "4.4.2",
        "the server closed the connection while waiting for the answer to DATA", next=True,
    ),
    "data garbage": Fault(
        {"data": b"go on\r\n"}, "deferred", 0, "4.5.0",
        "what is not an SMTP reply came instead of the answer to DATA", next=True,
    ),
    "data 421": Fault({"data": GOODBYE}, "deferred", 421, "4.3.2", "4.3.2 going down", next=True),
    "data 451": Fault({"data": "451 4.3.0 later"}, "deferred", 451, "4.3.0", "4.3.0 later"),
    "data 554": Fault({"data": "554 5.5.1 no"}, "failed", 554, "5.5.1", "5.5.1 no", "ok"),
    "data 250": Fault(
        {"data": "250 thanks"}, "deferred", 0, "4.5.0",
        "a reply of the wrong kind came instead of the answer to DATA", next=True,
    ),
    # --- within the message: it is large ----------------------------------------------------------------
    "message closes": Fault(
        {"data": ("354 go", Act.CLOSE)}, "deferred", 0, "4.4.2",
        "the server closed the connection while the message was sent", more={"large": True},
    ),
    "message 421": Fault(
        {"data": ("354 go", GOODBYE, Act.HANG)}, "deferred", 421, "4.3.2", "4.3.2 going down", next=True,
        more={"large": True},
    ),
    "message 552": Fault(
        {"data": ("354 go", "552 5.3.4 too big", Act.HANG)}, "failed", 552, "5.3.4", "5.3.4 too big", "ok",
        more={"large": True},
    ),
    # --- the end of the message -----------------------------------------------------------------------
    "end hangs": Fault(
        {"body": Act.HANG}, "deferred", 0, "4.4.2",
        "the server said nothing for 600 s after the message was sent and before the answer; it may have arrived",
        hangs=("body", 601),
    ),
    "end closes": Fault(
        {"body": Act.CLOSE}, "deferred", 0, "4.4.2",
        "the server closed the connection after the message was sent and before the answer; it may have arrived",
    ),
    "end garbage": Fault(
        {"body": b"\xff\xfe\r\n"}, "deferred", 0, "4.5.0", "what is not an SMTP reply came",
    ),
    "end long line": Fault(
        {"body": LONG}, "deferred", 0, "4.5.0", "a reply without end came",
    ),
    "end 421": Fault({"body": GOODBYE}, "deferred", 421, "4.3.2", "4.3.2 going down", next=True),
    "end 452": Fault({"body": "452 4.3.1 full"}, "deferred", 452, "4.3.1", "4.3.1 full"),
    "end unlisted 4": Fault({"body": "499 hm"}, "deferred", 499, "4.0.0", "hm"),
    "end 554": Fault({"body": "554 5.7.1 spam"}, "failed", 554, "5.7.1", "5.7.1 spam", "ok"),
}
"""What goes wrong. Every key stands in the table of docs/delivery.md, and every row of that table here."""

HARMLESS: dict[str, tuple[Script, dict[str, Any]]] = {
    "replies byte by byte": (
        {stage: Bytewise(text) for stage, text in (
            ("greeting", b"220 hi\r\n"), ("mail", b"250-2.1.0 a\r\n250 2.1.0 b\r\n"), ("rcpt", b"250 ok\r\n"),
            ("data", b"354 go\r\n"), ("body", b"250 2.0.0 taken\r\n"))}, {},
    ),
    "unlisted 2xx": ({"mail": "299 yes", "rcpt": "298 yes", "body": "297 2.0.0 taken"}, {}),
    "unlisted 3xx": ({"data": "399 go"}, {}),
    "ehlo unknown": ({"ehlo": "500 what?"}, {}),
    "bare line feeds": ({"mail": b"250 ok\n", "rcpt": b"250 ok\n"}, {}),
    "quit hangs": ({"quit": Act.HANG}, {}),
    "tls refused, may": ({"starttls": "454 not now"}, {"level": "may", "tls": "mx1.far.test"}),
    "tls fails, may": ({"tls": b"no TLS here\r\n" * 10}, {"level": "may", "tls": "mx1.far.test"}),
    "certificate of nobody, may": ({}, {"level": "may", "tls": "other.test"}),
}  # fmt: skip
"""What is odd, and leads to a delivery all the same."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def contexts(authority: Authority) -> Callable[[str], Any]:
    """Contexts of a server by the name in its certificate, each made once."""
    return cache(authority.server)


def where(level: str, more: dict[str, Any], *peers: ScriptedPeer) -> Place:
    names = ("mx1.far.test",) if level == "verify" else ()
    account: dict[str, Any] = {}
    if "auth" in more:
        account = {"account": "smarthost", "credentials": Credentials("me", password="secret")}
    return place(*peers, needs=protection(level, names=names, sni="mx1.far.test"), **account)


def peer_of(fault_script: Script, more: dict[str, Any], contexts: Callable[[str], Any]) -> ScriptedPeer:
    extensions = [word for word in EXTENSIONS if not word.startswith("SIZE")]
    if more.get("auth"):
        extensions.append(f"AUTH {more['auth']}")
    tls = contexts(more["tls"]) if "tls" in more else None
    return ScriptedPeer(fault_script, tls=tls, extensions=extensions)


@contextmanager
def message(more: dict[str, Any]) -> Iterator[Content]:
    """A small one in memory, or one in a file, larger than all buffers on the way."""
    if "large" not in more:
        yield MESSAGE
        return
    fd = os.memfd_create("message")
    try:
        os.write(fd, LARGE)
        yield FileContent(fd, 0, len(LARGE))
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_leads_to_its_state_and_reason(
    name: str, contexts: Callable[[str], Any], authority: Authority
) -> None:
    fault = FAULTS[name]

    async def attempt(peer: ScriptedPeer) -> None:
        ca = str(authority.file) if fault.more.get("trusted") else ""
        async with World(ca_file=ca) as world:
            delivery, future = world.begin(where(fault.level, fault.more, peer), content=content)
            if fault.hangs is not None:
                stage, seconds = fault.hangs
                await reached(peer, stage)
                await settled(world)
                await world.pass_by(seconds - 2)
                assert not future.done(), "given up too early"
                await world.pass_by(3)
            (result,), site = await future
            del delivery
            assert (result.status, result.code, result.enhanced) == (fault.status, fault.code, fault.enhanced)
            assert fault.text in result.text
            assert re.fullmatch(r"mx1\.far\.test\[127\.0\.0\.1\]:\d+", result.remote)
            assert result.diagnostic == ("smtp" if fault.code else "x-fastsmtp")
            assert site.kind == fault.site
            assert bool(site.reason) == (site != OK)
            assert world.transport.active == 0
            assert "internal error" not in world.logged()

    with message(fault.more) as content, peer_of(fault.script, fault.more, contexts) as peer:
        run(attempt(peer))


async def settled(world: World) -> None:
    """Until the transport has nothing more to read for now: the peer says no more."""
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.hangs is None])
def test_the_next_host_gets_it_where_the_table_says_so(
    name: str, contexts: Callable[[str], Any], authority: Authority
) -> None:
    fault = FAULTS[name]

    async def attempt(bad: ScriptedPeer, good: ScriptedPeer) -> None:
        ca = str(authority.file) if fault.more.get("trusted") else ""
        async with World(ca_file=ca) as world:
            (first,) = where(fault.level, fault.more, bad).targets
            both = Place("far.test", [first, target(good, name="mx2.far.test")])
            (result,), _ = await world.send(both, content=content)
            if fault.next:
                assert (result.status, result.code) == ("relayed", 250)
                assert result.remote.startswith("mx2.far.test[")
            else:
                assert (result.status, result.code) == (fault.status, fault.code)
            assert len(good.bodies) == fault.next

    bad_peer, good_peer = peer_of(fault.script, fault.more, contexts), peer_of({}, {}, contexts)
    with message(fault.more) as content, bad_peer as bad, good_peer as good:
        run(attempt(bad, good))


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_odd_and_harmless(name: str, contexts: Callable[[str], Any]) -> None:
    script, more = HARMLESS[name]

    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            (result,), site = await world.send(where(more.get("level", "none"), more, peer))
            assert (result.status, result.code // 100) == ("relayed", 2)
            assert site.kind == "ok"
        assert len(peer.bodies) == 1

    with peer_of(script, more, contexts) as peer:
        run(attempt(peer))


def test_nothing_listens() -> None:
    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            (result,), site = await world.send(place(peer))
            assert (result.status, result.code, result.enhanced, result.remote) == ("deferred", 0, "4.4.1", "")
            assert re.fullmatch(
                r"connect to mx1\.far\.test\[127\.0\.0\.1\]:\d+: Connection refused", result.text
            )
            assert site.kind == "unreachable"

    with ScriptedPeer() as peer:
        pass
    run(attempt(peer))


def test_a_server_that_takes_no_more_of_a_message() -> None:
    """The message is larger than all buffers on the way, and the peer does not read."""

    async def attempt(peer: ScriptedPeer) -> None:
        async with World() as world:
            fd = os.memfd_create("message")
            os.write(fd, LARGE)
            _, future = world.begin(place(peer), envelope(), FileContent(fd, 0, len(LARGE)))
            await reached(peer, "data")
            while not any(one.paused for one in world.transport.lines.connections):
                await asyncio.sleep(0.01)
            await world.pass_by(179)
            assert not future.done()
            await world.pass_by(2)
            (result,), site = await future
            assert (result.status, result.enhanced) == ("deferred", "4.4.2")
            assert "the server took nothing for 180 s" in result.text
            assert site.kind == "slow-down"
            os.close(fd)

    with ScriptedPeer({"data": ("354 go", Act.STUCK)}, extensions=["PIPELINING"]) as peer:
        run(attempt(peer))


def test_the_table_and_the_tests_are_one() -> None:
    text = (ROOT / "docs/delivery.md").read_text()
    rows = re.findall(r"^\| `[^`]+` \|.*$", text, re.MULTILINE)
    names = [row.split("`")[1] for row in rows]
    assert names == [*FAULTS, *HARMLESS]
    for row, (name, fault) in zip(rows, FAULTS.items(), strict=False):
        state = f"{fault.status} {fault.code or ''} {fault.enhanced}".replace("  ", " ")
        words = f"its words: `{fault.text}`" if fault.code else f"`{fault.text}`"
        assert row == f"| `{name}` | {state} | {words} | {'yes' if fault.next else 'no'} |"
