"""Mailboxes are renamed, removed and walled off while mail comes in: nothing is lost, doubled or misplaced."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.tools import arrived, audit
from tests.tools.load import Load, Mix
from tests.tools.ordeal import MAILBOXES
from tests.tools.site import Site, site
from tests.tools.waiting import until

pytestmark = pytest.mark.slow


def everywhere(server: Site) -> Counter[str]:
    """How often each message stands in any Maildir, whatever its name is now."""
    return Counter(
        each.digest for maildir in arrived.maildirs(server.mail) for each in arrived.messages(maildir)
    )


def progress(load: Load, messages: int) -> None:
    """Return when so many more are accepted."""
    goal = len(load.accepted) + messages
    until(f"{messages} more are accepted", lambda: len(load.accepted) >= goal, 60)


def restart(server: Site) -> None:
    """Stop and start: what hit a mailbox in the moment it vanished is tried again at once, not in a minute."""
    server.stop_in_order()
    server.start()


def settled(server: Site) -> None:
    """The spool is empty, as far as files show, and the server stopped."""
    until("tmp/ is empty", lambda: not arrived.left_in_tmp(server.mail), 60)
    until("no body file is left", lambda: not audit.body_files(server.data), 60)
    server.stop_in_order()
    assert audit.left_behind(server.data, server.mail) == []


def test_renamed_under_load(tmp_path: Path) -> None:
    with site(tmp_path, workers=2) as server:
        load = Load(server.address, Mix(MAILBOXES, most_recipients=1))
        load.start()
        for number in range(12):
            progress(load, 60)
            mailbox = server.maildir("alice")
            until("alice has a mailbox", mailbox.is_dir, 60)
            mailbox.rename(mailbox.with_name(f"alice-{number}"))
        progress(load, 60)
        load.stop()
        restart(server)
        accepted = {each.digest for each in load.accepted}
        until("all is delivered", lambda: accepted <= everywhere(server).keys(), 60, 0.2)
        settled(server)
        counts = everywhere(server)
        assert [mark for mark in accepted if counts[mark] != 1] == []
        to_alice = {each.digest for each in load.accepted if each.mailboxes == ("alice@example.org",)}
        others = [path for path in arrived.maildirs(server.mail) if not path.name.startswith("alice")]
        misplaced = [
            each.path for path in others for each in arrived.messages(path) if each.digest in to_alice
        ]
        assert misplaced == []


def test_removed_under_load(tmp_path: Path) -> None:
    """What was in a removed mailbox is gone with it; what comes later makes a new one."""
    with site(tmp_path, workers=2) as server:
        load = Load(server.address, Mix(("bob@example.org",)))
        load.start()
        mailbox = server.maildir("bob")
        for _ in range(8):
            progress(load, 60)
            until("bob has a mailbox", mailbox.is_dir, 60)
            shutil.rmtree(mailbox, ignore_errors=True)
        # Begun, not accepted: of what was delivered and is removed, a client may hear later.
        before = {each.digest for each in list(load.sent)}
        progress(load, 60)
        load.stop()
        restart(server)
        later = {each.digest for each in load.accepted} - before
        until("all later mail is there", lambda: later <= everywhere(server).keys(), 60, 0.2)
        settled(server)
        counts = everywhere(server)
        assert max(counts.values()) == 1


def test_one_mailbox_that_cannot_be_written_holds_up_no_other(tmp_path: Path) -> None:
    with site(tmp_path, workers=1) as server:
        carol = server.maildir("carol")
        carol.parent.mkdir(parents=True)
        carol.write_text("a file where a Maildir should be")
        load = Load(server.address, Mix(MAILBOXES))
        load.start()
        progress(load, 300)
        load.stop()
        expected = {
            (box, each.digest)
            for each in load.accepted
            for box in each.mailboxes
            if not box.startswith("carol")
        }
        until("the others have their mail", lambda: expected <= audit.standing(server.mail).keys(), 60, 0.2)
        assert server.log.count("carol@example.org cannot be written") == 1, "one log line"
        carol.unlink()
        restart(server)
        until("carol has hers", lambda: not audit.awaited(load.sent, audit.standing(server.mail)), 60, 0.2)
        settled(server)
        assert audit.compare(load.sent, audit.standing(server.mail)) == []
