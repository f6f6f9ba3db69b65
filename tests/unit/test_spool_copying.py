"""A copy of a shard that is at work: a moment of it, that opens as after a crash, and holds up nobody."""

import os
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsmtp.spool.base import SpoolError
from fastsmtp.spool.copying import MAGIC, TAKEN, received_journal, received_tree
from fastsmtp.spool.journal import complete_copy
from fastsmtp.spool.tables import BODY, PACK, RELAY
from tests.fakes.post_office import SMALL, PostOffice, until


class Copying:
    """A copy of ``office``'s spool on its way to ``base/spool``."""

    def __init__(self, office: PostOffice, base: Path) -> None:
        self.place = base / "spool"
        self.place.mkdir(parents=True)
        self.error: list[SpoolError] = []
        self.ours, self._theirs = socket.socketpair()
        self.ours.settimeout(20)
        self._bodies = office.base / "spool/body"
        self._spool = office.spool
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        try:
            self._spool.copy(self._theirs)
        except SpoolError as error:
            self.error.append(error)
        self._theirs.close()

    def take(self, between: Callable[[], object] = lambda: None) -> "Copying":
        """All of it; ``between`` is called before the body files are taken."""
        with open(self.place / "journal", "w+b") as journal, open(self.place / "data.mdb", "wb") as tree:
            journal.writelines(received_journal(self.ours))
            tree.writelines(received_tree(self.ours))
            journal.flush()
            complete_copy(journal.fileno(), self.place / "journal")
        between()
        shutil.copytree(self._bodies, self.place / "body")
        return self

    def end(self, word: bytes = TAKEN) -> "Copying":
        self.ours.sendall(word)
        self.ours.close()
        self._thread.join(20)
        assert not self._thread.is_alive()
        return self


def opened(base: Path) -> dict[str, int]:
    """What a spool at ``base`` holds."""
    office = PostOffice(base).open()
    try:
        return office.left()
    finally:
        office.close()


def test_a_copy_holds_what_was_there_and_nothing_later(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    office = PostOffice(tmp_path / "one").open()
    ids = [office.submit(b"x" * 5000, "a@b.example") for _ in range(50)]
    ids += [office.submit(b"y", elsewhere=("c@d.example",)) for _ in range(7)]
    ids.append(office.submit(b"z" * 100_000, "a@b.example", large=True))
    office.accepted(*ids)
    before = office.left()
    copying = Copying(office, tmp_path / "two")
    assert copying.ours.recv(8, socket.MSG_PEEK) == MAGIC  # the moment has passed
    office.accepted(*[office.submit(b"later", elsewhere=("c@d.example",)) for _ in range(30)])
    copying.take().end()
    assert copying.error == []
    assert opened(tmp_path / "two") == before
    assert office.left()["relay"] == 37
    office.close()


def test_what_was_moved_into_the_tree_is_in_the_copy_too(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    office = PostOffice(tmp_path / "one").open()
    for _ in range(6):  # 24 MB through a journal of 8
        office.accepted(*[office.submit(b"x" * 8000, elsewhere=("c@d.example",)) for _ in range(500)])
    with office.spool._store.read() as txn:
        assert txn.stat(office.spool._store.db[RELAY])["entries"] > 100
    copying = Copying(office, tmp_path / "two").take().end()
    assert copying.error == []
    assert opened(tmp_path / "two")["relay"] == 3000
    office.close()


def test_a_slow_taker_holds_up_neither_mail_nor_the_journal(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    office = PostOffice(tmp_path / "one").open()
    office.accepted(*[office.submit(b"x" * 8000, elsewhere=("c@d.example",)) for _ in range(400)])
    copying = Copying(office, tmp_path / "two")
    assert copying.ours.recv(8, socket.MSG_PEEK) == MAGIC
    for _ in range(6):  # the journal goes round several times meanwhile
        office.accepted(*[office.submit(b"x" * 8000, elsewhere=("c@d.example",)) for _ in range(500)])
    until(lambda: all(region.pins == 0 for region in office.spool._journal.regions))
    copying.take().end()
    assert opened(tmp_path / "two")["relay"] == 400
    office.close()


def test_body_files_stay_until_they_are_taken(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    office = PostOffice(tmp_path / "one").open()
    large = office.submit(b"z" * 100_000, "a@b.example", large=True)
    office.accepted(large)
    copying = Copying(office, tmp_path / "two")
    assert copying.ours.recv(8, socket.MSG_PEEK) == MAGIC
    office.deliver()
    until(lambda: office.left().keys() == {"files"}, each=lambda: office.turn(0.01))
    copying.take()
    assert os.listdir(office.base / "spool/body") == [large]
    copying.end()
    office.settled()
    assert opened(tmp_path / "two") == {"pack": 1, "body": 1, "files": 1}
    office.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_the_end_of_the_shard_is_the_end_of_a_copy(tmp_path: Path, when: str) -> None:
    (tmp_path / "one").mkdir()
    office = PostOffice(tmp_path / "one").open()
    office.accepted(*[office.submit(b"x" * 8000, elsewhere=("c@d.example",)) for _ in range(400)])
    copying = Copying(office, tmp_path / "two")
    assert copying.ours.recv(8, socket.MSG_PEEK) == MAGIC
    if when == "after":
        copying.take()
    office.close()
    copying.ours.close()
    copying._thread.join(20)
    assert len(copying.error) == 1
    with pytest.raises(SpoolError, match="being closed"):
        office.spool.copy(copying.ours)


def test_who_goes_away_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    office = PostOffice(tmp_path / "one").open()
    office.accepted(office.submit(b"x", elsewhere=("c@d.example",)))
    copying = Copying(office, tmp_path / "two").take()
    copying.end(b"")
    assert "given up" in str(copying.error[0])
    office.close()


def test_trouble_of_the_tree_ends_a_copy(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    office = PostOffice(tmp_path / "one").open()
    office.accepted(*[office.submit(b"x" * 8000, elsewhere=("c@d.example",)) for _ in range(400)])
    copying = Copying(office, tmp_path / "two")
    assert copying.ours.recv(8, socket.MSG_PEEK) == MAGIC
    store = office.spool._store
    with pytest.raises(Exception, match="a copy is being made"):
        store.reopen()
    copying._thread.join(20)
    assert len(copying.error) == 1
    store.reopen()
    office.accepted(office.submit(b"x", "a@b.example"))
    office.close()


def test_the_image_says_which_records_a_body_has(tmp_path: Path) -> None:
    assert SMALL.inline_limit < 100_000
    (tmp_path / "one").mkdir()
    office = PostOffice(tmp_path / "one").open()
    office.accepted(office.submit(b"z" * 100_000, "a@b.example", large=True))
    Copying(office, tmp_path / "two").take().end()
    office.close()
    office = PostOffice(tmp_path / "two").open()
    tables = office.spool._tables
    assert [len(list(tables.keys(name))) for name in (BODY, PACK)] == [1, 1]
    office.close()
