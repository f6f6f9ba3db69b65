"""The words of the two masters of an upgrade, and the program that is run anew."""

import os
import selectors
import signal
import socket
import sys
from collections.abc import Iterator

import pytest

from fastsmtp.process.heritage import Heritage, InheritedListener
from fastsmtp.process.successor import Predecessor, Successor, start_successor

CHILD = """
import os, sys
sys.path.insert(0, {path!r})
from fastsmtp.process.heritage import take_heritage
from fastsmtp.process.successor import Predecessor
heritage = take_heritage(os.environ)
Predecessor(heritage.channel).failed(f"{{heritage.data_dir}} {{os.read(heritage.lock, 10).decode()}}")
"""


class Pair:
    """Both ends in this process."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self.heard: list[str | None] = []
        self.gone = 0
        self.old = Successor(0, ours, self.selector, self.heard.append)
        self.new = Predecessor(theirs.fileno())
        theirs.close()

    def turn(self) -> None:
        """What waits is heard."""
        for key, _ in self.selector.select(0):
            key.data()

    def go(self) -> None:
        """The new one is to serve."""
        self.gone += 1


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.old.forget()
    made.new.close()
    made.selector.close()


def test_it_serves_once_it_is_told(pair: Pair) -> None:
    pair.new.ready()
    pair.new.watch(pair.selector, pair.go)
    pair.turn()
    assert (pair.heard, pair.gone) == ([None], 0)
    pair.old.go()
    assert pair.old.handed_over
    pair.turn()
    assert pair.gone == 1


def test_why_it_cannot(pair: Pair) -> None:
    pair.new.failed("no room: €")
    pair.turn()
    assert pair.heard == ["no room: €"]


def test_it_serves_when_the_old_one_is_gone(pair: Pair) -> None:
    pair.new.watch(pair.selector, pair.go)
    pair.old.forget()
    pair.turn()
    assert pair.gone == 1


def test_one_that_ends_without_a_word_is_heard_no_more(pair: Pair) -> None:
    pair.new.close()
    pair.turn()
    pair.old.hear()
    assert pair.heard == []
    pair.old.go()


def test_the_program_is_run_with_what_is_handed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    code = CHILD.format(path=os.getcwd())
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", code])
    lock, written = os.pipe()
    os.write(written, b"lock")

    def heritage(channel: int) -> Heritage:
        listeners: list[InheritedListener] = []
        return Heritage(generation=1, data_dir="/data", channel=channel, lock=lock, listeners=listeners)

    pid, channel = start_successor(heritage, os.environ)
    try:
        assert os.waitpid(pid, 0)[1] == 0
        heard: list[str | None] = []
        with selectors.DefaultSelector() as selector:
            successor = Successor(pid, channel, selector, heard.append)
            successor.hear()
            successor.end()  # it has ended already
        assert heard == ["/data lock"]
    finally:
        os.close(lock)
        os.close(written)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
