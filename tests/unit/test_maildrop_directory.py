"""What is taken for mail in a directory that everybody can write into, and what is not."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsmtp.maildrop.directory import AGED, DAMAGED, Directory, Unfit, waiting_names
from fastsmtp.maildrop.dropping import Dropping
from fastsmtp.maildrop.form import Drop
from fastsmtp.maildrop.place import read_facts
from tests.tools.root import root_only

ID = "8DrRyN2Cb00A2"
NAME = "0" * 32


def always(name: str, uid: int) -> bool:
    """Everything is wanted."""
    return True


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A maildrop."""
    path = tmp_path / "drop"
    path.mkdir()
    path.chmod(0o3733)
    return path


@pytest.fixture
def directory(place: Path) -> Iterator[Directory]:
    """The same as the server has it."""
    made = Directory(str(place))
    yield made
    made.close()


def drop(place: Path, body: bytes = b"Subject: x\r\n\r\nx\r\n") -> str:
    """One message; its name."""
    dropping = Dropping(str(place), Drop(None, ("alice",)))
    dropping.write(body)
    dropping.commit()
    return dropping.name


def test_a_message_is_found_and_read(place: Path, directory: Directory) -> None:
    name = drop(place, b"x" * 100_000)
    [found] = directory.waiting(time.time(), always)
    assert (found.name, found.uid, found.entered) == (name, os.getuid(), "")
    opened = directory.open(name, 100_000)
    assert opened.drop.recipients == ("alice",)
    assert b"".join(opened.pieces()) == b"x" * 100_000
    opened.close()
    assert waiting_names(str(place)) == [name]


def test_the_queue_id_stands_in_the_name_while_it_is_brought_in(place: Path, directory: Directory) -> None:
    name = drop(place)
    entered = directory.enter(name, ID)
    [found] = directory.waiting(time.time(), always)
    assert (found.name, found.entered) == (entered, ID)
    assert directory.leave(entered) == name
    directory.remove(name)
    directory.remove(name)
    assert directory.waiting(time.time(), always) == []


def test_one_process_has_it(place: Path, directory: Directory) -> None:
    other = Directory(str(place))
    assert directory.acquire()
    assert not other.acquire()
    directory.close()
    assert other.acquire()
    other.close()
    directory.__init__(str(place))  # type: ignore[misc]


def test_links_and_pipes_are_no_mail(place: Path, directory: Directory, tmp_path: Path) -> None:
    real = place / drop(place)
    (place / ("1" * 32)).symlink_to(real)
    os.mkfifo(place / ("2" * 32))
    (place / ("3" * 32)).mkdir()
    for name in "123":
        with pytest.raises(Unfit, match="no regular file"):
            directory.open(name * 32, 1000)
    os.link(real, place / ("4" * 32))
    with pytest.raises(Unfit, match="more names"):
        directory.open("4" * 32, 1000)


@root_only
def test_a_file_that_was_made_elsewhere_is_not_taken(place: Path, directory: Directory) -> None:
    name = drop(place)
    os.chown(place / name, 0, 12345)
    with pytest.raises(Unfit, match="group"):
        directory.open(name, 1000)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"rubbish", "no end"),
        (b"rubbish\n\nx", "does not begin"),
        (b"fastsmtp maildrop 1 7\nrecipient a\n\n" + b"x" * 101, "101 octets, 100 are allowed"),
    ],
)
def test_what_is_damaged_is_kept(place: Path, directory: Directory, content: bytes, words: str) -> None:
    (place / NAME).write_bytes(content)
    with pytest.raises(Unfit, match=words) as caught:
        directory.open(NAME, 100)
    assert caught.value.damaged
    directory.set_aside(NAME)
    assert directory.waiting(time.time() + 2 * AGED, always) == []
    assert os.listdir(place) == [DAMAGED + NAME]


def test_what_was_left_half_way_goes_when_it_is_old(place: Path, directory: Directory) -> None:
    (place / f"part-{NAME}").write_bytes(b"x")
    (place / "mine").write_bytes(b"x")
    now = time.time()
    directory.waiting(now + AGED / 2, always)
    assert len(os.listdir(place)) == 2
    directory.waiting(now + AGED + 5, always)
    assert os.listdir(place) == []


@root_only
def test_users_take_turns_and_the_oldest_goes_first(place: Path, directory: Directory) -> None:
    for number, uid in enumerate([1, 1, 1, 2]):
        name = drop(place)
        os.chown(place / name, uid, -1)
        os.utime(place / name, (1000 + number, 1000 + number))
    found = directory.waiting(time.time(), always)
    assert [(one.uid, one.at) for one in found] == [(1, 1000), (2, 1003), (1, 1001), (1, 1002)]
    assert [one.uid for one in directory.waiting(time.time(), lambda name, uid: uid == 2)] == [2]


def test_facts_are_told(place: Path, directory: Directory) -> None:
    directory.tell({"message_size": "1"})
    directory.tell({"message_size": "2"})
    assert read_facts(str(place)) == {"message_size": "2"}
    assert directory.waiting(time.time() + 2 * AGED, always) == []
    assert os.listdir(place) == ["server"]


def test_a_directory_is_no_mail_and_is_left(place: Path, directory: Directory) -> None:
    """Whatever it is called: it cannot be removed like a file, and may not be tried for ever."""
    (place / NAME).mkdir()
    (place / f"{NAME}.{ID}").mkdir()
    name = drop(place)
    assert [one.name for one in directory.waiting(time.time(), always)] == [name]
    assert waiting_names(str(place)) == [name]


@pytest.mark.parametrize("taken", ["server", "server-part"])
def test_what_the_server_tells_does_not_depend_on_what_others_made(
    place: Path, directory: Directory, taken: str
) -> None:
    (place / taken).mkdir()
    (place / taken / "x").touch()
    directory.tell({"message_size": "5"})
    assert read_facts(str(place)) == {"message_size": "5"}
