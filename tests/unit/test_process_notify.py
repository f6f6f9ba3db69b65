"""What the service manager is told."""

import os
import socket
from pathlib import Path

import pytest

from fastsmtp.process.notify import Notify


@pytest.mark.parametrize("abstract", [False, True])
def test_words_come_as_one_datagram(tmp_path: Path, abstract: bool) -> None:
    name = f"@fastsmtp-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + name[1:] if abstract else name)
        manager.settimeout(10)
        notify = Notify({"NOTIFY_SOCKET": name})
        notify.send("READY=1", "STATUS=serving")
        assert manager.recv(100) == b"READY=1\nSTATUS=serving"
        notify.reloading()
        assert manager.recv(100).startswith(b"RELOADING=1\nMONOTONIC_USEC=")


def test_a_manager_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    Notify({"NOTIFY_SOCKET": str(tmp_path / "nothing")}).send("READY=1")
    Notify({}).send("READY=1")


def test_signs_of_life_come_twice_as_often_as_they_are_wanted() -> None:
    assert Notify({"WATCHDOG_USEC": "60000000"}).every == 30
    assert Notify({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}).every == 30
    assert Notify({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}).every is None
    assert Notify({}).every is None
