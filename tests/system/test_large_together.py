"""Ten mails of 20 MB at the same time: the worker stays small, answers others, and every byte arrives."""

import hashlib
import threading
from pathlib import Path

import pytest

from tests.tools import arrived
from tests.tools.site import Site, site
from tests.tools.waiting import until
from tests.tools.wire import stuffed

MEGABYTE = 1 << 20
COUNT = 10


def content(number: int) -> bytes:
    """20 MB of lines, other ones for each number."""
    seed = hashlib.sha256(b"%d" % number).hexdigest().encode()
    return b"Subject: %d\r\n\r\n" % number + (b"." + seed * 3 + b"\r\n") * (20 * MEGABYTE // 195)


@pytest.mark.slow
def test_large_together(tmp_path: Path) -> None:
    with site(tmp_path, workers=1) as server:
        before, peak = server.memory(), 0
        accepted: dict[str, str] = {}
        threads = [threading.Thread(target=send, args=(server, n, accepted)) for n in range(COUNT)]
        for thread in threads:
            thread.start()
        with server.wire() as other:
            while any(thread.is_alive() for thread in threads):
                assert other.usable()
                peak = max(peak, server.memory())
        assert len(accepted) == COUNT
        assert peak - before < 64 * MEGABYTE, f"grown by {(peak - before) >> 20} MB"
        new = server.maildir("alice") / "new"
        until("all are delivered", lambda: len(list(new.glob("*"))) == COUNT, 60)
        assert {each.queue_id: each.digest for each in map(arrived.read, new.iterdir())} == accepted


def send(server: Site, number: int, accepted: dict[str, str]) -> None:
    """Send one of the mails, and note it."""
    body = content(number)
    with server.wire(timeout=60) as wire:
        wire.hello()
        wire.envelope("alice@example.org")
        wire.expect("DATA", "354")
        wire.send(stuffed(body))
        accepted[wire.answer().queue_id] = arrived.digest(body)
