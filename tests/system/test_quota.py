"""A mailbox with a quota, from the command that sets it to the reply in every worker, and the mail that waits."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.system.test_accounts_change import CHEAP, OK, do, talk
from tests.tools.site import Site, site
from tests.tools.waiting import until
from tests.tools.wire import Wire

FULL, OVER = "452 4.2.2", "552 5.2.2"
ZOE = "zoe@example.org"
CONTENT = b"Subject: x\r\n\r\n" + b"line of text\r\n" * 200


def asked(wires: list[Wire], *, size: str = "", address: str = ZOE) -> set[str]:
    """What all sessions say to a recipient of a message whose size is declared so."""
    found = set()
    for wire in wires:
        wire.expect(f"MAIL FROM:<s@x.test>{size}", "250")
        found.add(wire.command(f"RCPT TO:<{address}>").brief)
        wire.expect("RSET", "250")
    return found


def all_say(wires: list[Wire], reply: str, **how: str) -> Callable[[], bool]:
    """Whether that is it; a count goes on behind the reply that asked for it."""
    return lambda: asked(wires, **how) == {reply}


def sizes(server: Site) -> list[int]:
    """Of the files in zoe's mailbox."""
    return [file.stat().st_size for file in (server.maildir("zoe") / "new").glob("*")]


def send(server: Site, wire: Wire, address: str = ZOE, user: str = "zoe") -> None:
    """One message, until it is there."""
    new = server.maildir(user) / "new"
    before = len(list(new.glob("*")))
    assert wire.message(CONTENT, address).queue_id
    until("the mail", lambda: len(list(new.glob("*"))) == before + 1, 60)


def test_a_mailbox_over_its_quota_says_so_in_all_workers(tmp_path: Path) -> None:
    with site(tmp_path, **CHEAP) as server, ExitStack() as stack:
        wires = talk(server, stack)
        do(server, "user", "add", ZOE, "--password-stdin", "--quota", "7000")
        assert asked(wires, size=" SIZE=7000") == {OK}
        assert asked(wires, size=" SIZE=7001") == {FULL}
        send(server, wires[0])
        until("it is counted", all_say(wires, FULL, size=" SIZE=6000"), 60)
        assert asked(wires) == {OK}, "there is room left"
        for _ in range(2):
            send(server, wires[0])
        until("it is full", all_say(wires, FULL), 60)
        file = server.maildir("zoe") / "maildirsize"
        whole = f"7000S\n{sum(sizes(server))} 3\n"
        # it may rest after a count: only who asks again has it counted again
        until("all is in one sum", lambda: asked(wires) == {FULL} and file.read_text() == whole, 60)
        do(server, "user", "quota", ZOE, "none")
        assert asked(wires) == {OK}
        do(server, "user", "quota", ZOE, "7000")
        assert asked(wires) == {FULL}
        for mail in (server.maildir("zoe") / "new").iterdir():
            mail.unlink()
        send(server, wires[0], "alice@example.org", "alice")
        file.write_text(f"{file.read_text()}0 0\n")  # as whoever takes mail away adds a line
        until("the room is found", all_say(wires, OK), 60)


def test_where_it_is_to_refuse_it_refuses_for_good(tmp_path: Path) -> None:
    with site(tmp_path, **CHEAP, mailboxes={"full": "reject"}) as server, ExitStack() as stack:
        wires = talk(server, stack)
        do(server, "user", "add", ZOE, "--password-stdin", "--quota", "100")
        assert asked(wires, size=" SIZE=101") == {OVER}


def test_behind_an_alias_it_waits_and_the_others_have_it(tmp_path: Path) -> None:
    with site(tmp_path, **CHEAP) as server, server.wire() as wire:
        wire.hello()
        do(server, "user", "add", ZOE, "--password-stdin", "--quota", "100")
        do(server, "alias", "add", "team@example.org", ZOE, "alice@example.org")
        box = server.maildir("zoe")
        for part in ("tmp", "new", "cur"):
            (box / part).mkdir(parents=True, mode=0o700)
        (box / "maildirsize").write_text("100S\n100 1\n")
        send(server, wire, "team@example.org", "alice")
        server.wait_log("deferred .*to=<zoe@example.org> .*452 mailbox is full")
        do(server, "user", "quota", ZOE, "none")
        do(server, "queue", "retry", "--to", ZOE, "--yes")
        until("the mail", lambda: list((box / "new").glob("*")), 60)
