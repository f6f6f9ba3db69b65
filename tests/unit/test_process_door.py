"""The master's control socket, without a master."""

import asyncio
import os
import selectors
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.clock import SystemClock
from fastsmtp.control.client import ControlError, NotThere, ask
from fastsmtp.control.master import Outcome
from fastsmtp.process.door import Answer, Door


@contextmanager
def opened(path: Path, uid: int = -1) -> Iterator[list[Answer]]:
    """A door whose ``later`` is answered when its entry in the list is called."""
    waiting: list[Answer] = []
    selector = selectors.DefaultSelector()
    door = Door(
        path,
        os.geteuid() if uid < 0 else uid,
        {"now": lambda answer: answer(Outcome(True, ["a"])), "later": waiting.append},
        selector=selector,
        clock=SystemClock(),
    )
    door.open()
    over = threading.Event()

    def serve() -> None:
        while not over.is_set():
            for key, _ in selector.select(0.01):
                key.data()
            for answer in list(waiting):
                waiting.remove(answer)
                answer(Outcome(False, ["b"], 7))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield waiting
    finally:
        over.set()
        thread.join()
        door.close()
        door.remove()


def asked(path: Path, verb: str) -> Any:
    return asyncio.run(ask(path, verb, None, Outcome))


def test_answers_come_at_once_or_later(tmp_path: Path) -> None:
    path = tmp_path / "control" / "master"
    with opened(path):
        assert asked(path, "now") == Outcome(True, ["a"])
        assert asked(path, "later") == Outcome(False, ["b"], 7)
        assert path.stat().st_mode & 0o777 == 0o600
    assert not path.exists()
    with pytest.raises(NotThere):
        asked(path, "now")


def test_what_is_no_request_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "master"
    with opened(path):
        with pytest.raises(ControlError, match="does not know"):
            asked(path, "nothing")
        # Who says nothing, or rubbish, is in nobody's way.
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"\xff" * 100)
            assert client.recv(10)
        assert asked(path, "now").done


def test_who_comes_when_many_are_inside_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmtp.process.door.MOST_CONNECTIONS", 2)
    path = tmp_path / "master"
    with opened(path):
        inside = [socket.socket(socket.AF_UNIX) for _ in range(2)]
        try:
            for client in inside:
                client.connect(str(path))
            with pytest.raises(ControlError, match="too many ask at once") as caught:
                asked(path, "now")
            assert caught.value.fault == "busy"
        finally:
            for client in inside:
                client.close()


def test_it_opens_again_where_its_file_was_lost(tmp_path: Path) -> None:
    path = tmp_path / "control" / "master"
    with selectors.DefaultSelector() as selector:
        door = Door(path, os.geteuid(), {}, selector=selector, clock=SystemClock())
        door.open()
        assert not door.lost()
        shutil.rmtree(path.parent)
        assert door.lost()
        door.open()
        assert not door.lost()
        assert len(selector.get_map()) == 1
        # What is no socket stays, until somebody has removed it.
        path.unlink()
        path.mkdir()
        assert door.lost()
        with pytest.raises(OSError, match="master"):
            door.open()
        assert door.lost()
        path.rmdir()
        door.open()
        assert not door.lost()
        door.close()
        path.unlink()
        assert not door.lost(), "its successor listens there"
        assert not selector.get_map()
