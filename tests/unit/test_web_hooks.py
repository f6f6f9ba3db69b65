"""Webhooks: signed, in order, at least once, and none of it waited for."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.clock import SystemClock
from fastsmtp.config.values import Duration
from fastsmtp.ledger.line import Line, read_line
from fastsmtp.web import hooks
from fastsmtp.web.hooks import Hook
from fastsmtp.web.settings import WebhookSettings
from tests.fakes.web import read_request

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def line(number: int, kind: str = "sent") -> Line:
    """An event of that number."""
    found = read_line(b'{"kind":"%b","v":1,"at":%d.5,"id":"Q%d"}' % (kind.encode(), number, number))
    assert found is not None
    return found


class Book:
    """A ledger in memory: ``lines`` so far, read three at a time."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.opened: list[Mapping[str, int] | None] = []
        self.vanished = 0
        self._at = 0

    def open(self, position: Mapping[str, int] | None) -> "Book":
        self.opened.append(position)
        self._at = len(self.lines) if position is None else position["book"]
        return self

    @property
    def position(self) -> Mapping[str, int]:
        return {"book": self._at}

    def read(self, octets: int) -> list[Line]:
        found = self.lines[self._at : self._at + 3]
        self._at += len(found)
        return found


class Meter:
    """Counts by result."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def webhook(self, result: str, events: int = 1) -> None:
        self.counts[result] = self.counts.get(result, 0) + events


class Endpoint:
    """Answers each request with the next of ``statuses``, the last one again and again."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.url = ""

    @property
    def ids(self) -> list[str]:
        """Of all events, as often as they came."""
        return [one["id"] for _, _, body in self.requests for one in json.loads(body)["events"]]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await read_request(reader))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(*statuses: int) -> AsyncIterator[Endpoint]:
    """An endpoint on a port of its own."""
    endpoint = Endpoint(*statuses)
    server = await asyncio.start_server(endpoint.answer, "127.0.0.1", 0)
    endpoint.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?key=1"
    async with server:
        yield endpoint


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "IDLE", 0.005)
    monkeypatch.setattr(hooks, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(hooks, "LONGEST_PAUSE", 0.02)


class Stage:
    """A hook with all that it needs."""

    def __init__(self, directory: Path, book: Book, url: str, **settings: Any) -> None:
        self.told: list[str] = []
        self.meter = Meter()
        self.hook = Hook(
            WebhookSettings(name="shop", url=url, secret=SECRET, **settings),
            SECRET,
            book.open,
            directory,
            clock=SystemClock(),
            meter=self.meter,
            event=self.told.append,
            context=lambda: pytest.fail("no TLS here"),
        )
        self._position = directory / "shop"

    async def begun(self) -> None:
        """Run it until it has noted where it begins: what comes from now on is told."""
        await self.until(self._position.exists)

    async def until(self, condition: Callable[[], object]) -> None:
        """Run it until something is so."""
        task = asyncio.create_task(self.hook.run())
        try:
            async with asyncio.timeout(20):
                while not condition():
                    await asyncio.sleep(0.002)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def test_events_are_told_signed_and_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        book = Book([line(0)])
        async with listening(204) as endpoint:
            stage = Stage(tmp_path, book, endpoint.url)
            await stage.begun()
            assert book.opened == [None]  # what was there before it is not told
            book.lines += [line(1), line(2, "received"), line(3), line(4), line(5, "server"), line(6)]
            await stage.until(lambda: stage.hook.status().delivered == 4)
            assert endpoint.ids == ["Q1", "Q3", "Q4", "Q6"]
        for first, fields, body in endpoint.requests:
            assert first == "POST /hook?key=1 HTTP/1.1"
            assert fields["content-type"] == "application/json"
            content = b".".join((fields["webhook-id"].encode(), fields["webhook-timestamp"].encode(), body))
            key = base64.b64decode(SECRET.removeprefix("whsec_"))
            digest = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
            assert fields["webhook-signature"] == f"v1,{digest}"
        assert stage.meter.counts == {"delivered": 4}
        assert stage.hook.status().failing_since is None

    asyncio.run(main())


def test_what_is_not_taken_is_tried_again_until_it_is(tmp_path: Path) -> None:
    async def main() -> None:
        book = Book([])
        async with listening(500, 301, 404, 200) as endpoint:
            stage = Stage(tmp_path, book, endpoint.url)
            await stage.begun()
            book.lines += [line(1), line(2), line(3), line(4)]
            await stage.until(lambda: stage.hook.status().delivered == 4)
            assert endpoint.ids == ["Q1", "Q2", "Q3"] * 4 + ["Q4"]
            assert len({fields["webhook-id"] for _, fields, _ in endpoint.requests[:4]}) == 1
        assert stage.meter.counts == {"failed": 9, "delivered": 4}
        # One line for each reason, and one for its end; the URL's query is not told.
        said = [text.removeprefix("webhook shop: ") for text in stage.told]
        assert [text.partition(";")[0].rpartition(" ")[2] for text in said[:3]] == ["500", "301", "404"]
        assert said[3].startswith("it takes events again")
        assert not any("key=1" in text for text in stage.told)

    asyncio.run(main())


def test_a_dead_endpoint_is_shown_and_forgotten_events_are_counted(tmp_path: Path) -> None:
    async def main() -> None:
        book = Book([])
        stage = Stage(tmp_path, book, "http://127.0.0.1:1/")
        await stage.begun()
        book.lines.append(line(1))
        await stage.until(lambda: stage.hook.status().attempts >= 3)
        status = stage.hook.status()
        assert (status.waiting, status.error) == (1, "Connect call failed ('127.0.0.1', 1)")
        assert status.behind > 0
        assert status.failing_since is not None
        assert status.next_at is not None
        book.vanished = 2
        async with listening(200) as endpoint:
            again = Stage(tmp_path, book, endpoint.url)
            await again.until(lambda: again.hook.status().delivered)
            assert endpoint.ids == ["Q1"]
        assert again.meter.counts == {"delivered": 1, "given_up": 2}

    asyncio.run(main())


def test_what_nobody_ever_takes_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        book = Book([])
        async with listening(400, 200) as endpoint:
            stage = Stage(tmp_path, book, endpoint.url, give_up=Duration(60))
            monkeypatch.setattr(hooks, "FIRST_PAUSE", 100.0)
            await stage.begun()
            book.lines += [line(1), line(2), line(3), line(4)]
            await stage.until(lambda: stage.hook.status().delivered)
            assert endpoint.ids == ["Q1", "Q2", "Q3", "Q4"]
        assert stage.meter.counts == {"failed": 3, "given_up": 3, "delivered": 1}
        assert (
            "3 events were given up after 1m; the last answer was: it answered with status 400"
            in stage.told[-2]
        )

    asyncio.run(main())


def test_a_new_process_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    async def main() -> None:
        book = Book([])
        async with listening(200) as endpoint:
            first = Stage(tmp_path, book, endpoint.url)
            await first.begun()
            book.lines += [line(number) for number in range(5)]
            await first.until(lambda: len(endpoint.ids) == 5)
            book.lines += [line(5)]
            second = Stage(tmp_path, book, endpoint.url)
            await second.until(lambda: "Q5" in endpoint.ids)
            # At least once: the position may be older than the last answer.
            assert endpoint.ids[:5] == [f"Q{number}" for number in range(5)]
            assert book.opened[0] is None
            assert None not in book.opened[1:]

    asyncio.run(main())


def test_two_processes_do_not_tell_the_same_at_once(tmp_path: Path) -> None:
    async def main() -> None:
        old, new = Book([]), Book([])
        async with listening(200) as endpoint:
            first, second = Stage(tmp_path, old, endpoint.url), Stage(tmp_path, new, endpoint.url)

            async def both() -> None:
                task = asyncio.create_task(second.hook.run())
                await asyncio.sleep(0.05)
                assert new.opened == []
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

            running = asyncio.create_task(first.hook.run())
            while not old.opened:
                await asyncio.sleep(0.002)
            await both()
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await second.until(lambda: new.opened)

    asyncio.run(main())


@pytest.mark.parametrize("position", [b"{", b'{"\xff":1}', b"[" * 5000])
def test_a_ledger_that_cannot_be_read_and_a_damaged_position(tmp_path: Path, position: bytes) -> None:
    async def main() -> None:
        (tmp_path / "shop").write_bytes(position)
        book = Book([])
        failing = [True]

        def read(octets: int, usual: Callable[[int], list[Line]] = book.read) -> list[Line]:
            if failing[0]:
                raise OSError(13, "Permission denied")
            return usual(octets)

        book.read = read  # type: ignore[method-assign]
        async with listening(200) as endpoint:
            stage = Stage(tmp_path, book, endpoint.url)
            await stage.until(lambda: len(stage.told) == 2)
            assert "is damaged" in stage.told[0]
            assert "cannot be read: Permission denied" in stage.told[1]
            failing[0] = False
            book.lines.append(line(1))
            await stage.until(lambda: endpoint.ids)

    asyncio.run(main())
