"""Bodies of requests: their lines, their bounds, and where they are kept."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fastsmtp.control.mail import INCOMING, MOST_INLINE
from fastsmtp.web import bodies
from fastsmtp.web.bodies import Large, Lines, MailBox, whole
from fastsmtp.web.problem import Problem


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


@pytest.mark.parametrize("text", [b"", b"\r", b"\n", b"\r\n", b"a\r\n\r\nb\n\rc\r", b"\r\r\n\n", b"x\ry\nz"])
def test_lines_end_with_crlf_however_they_are_cut(text: bytes) -> None:
    expected = b"\r\n".join(text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))
    for cut in range(len(text) + 1):
        for again in range(cut, len(text) + 1):
            lines = Lines()
            found = (
                lines.feed(text[:cut]) + lines.feed(text[cut:again]) + lines.feed(text[again:]) + lines.end()
            )
            assert found == expected


def test_a_body_that_is_read_whole() -> None:
    assert asyncio.run(whole(pieces(b"ab", b"cd"), 4)) == b"abcd"
    with pytest.raises(Problem) as caught:
        asyncio.run(whole(pieces(b"ab", b"cde"), 4))
    assert caught.value.status == 413


def test_large_bodies_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_PATIENCE", 0.01)

    async def main() -> None:
        large = Large()
        turns = [large.turn(None) for _ in range(bodies._MOST_LARGE)]
        for turn in turns:
            await turn.__aenter__()
        async with large.turn(bodies.SMALL):
            pass
        with pytest.raises(Problem) as caught:
            async with large.turn(bodies.SMALL + 1):
                pytest.fail("there is no room")
        assert caught.value.status == 503
        await turns[0].__aexit__(None, None, None)
        async with large.turn(None):
            pass

    asyncio.run(main())


def test_where_messages_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_PIECE", 1000)

    async def main() -> None:
        box = MailBox(tmp_path, time.time)
        box.open()
        async with box.keep(b"ab", pieces(b"cd"), 4) as mail:
            assert (mail.start, mail.size, mail.name) == (b"abcd", 4, "")
        async with box.keep(b"", pieces(*[b"x" * 999] * 40), 100_000) as mail:
            assert (mail.start, mail.size) == (b"", 999 * 40)
            assert box.path(mail).read_bytes() == b"x" * mail.size
            assert box.path(mail).stat().st_mode & 0o777 == 0o600
        async with box.keep(b"y" * (MOST_INLINE + 1), pieces(), 100_000) as mail:
            assert box.path(mail).read_bytes() == b"y" * mail.size
        with pytest.raises(Problem) as caught:
            async with box.keep(b"", pieces(b"x" * 2000, b"y"), 2000):
                pytest.fail("it is too large")
        assert caught.value.status == 413
        assert list((tmp_path / INCOMING).iterdir()) == []

    asyncio.run(main())


def test_no_room_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        box = MailBox(tmp_path, time.time)  # its directory is not there
        with pytest.raises(Problem) as caught:
            async with box.keep(b"x" * (MOST_INLINE + 1), pieces(), 100_000):
                pytest.fail("it cannot be kept")
        assert (caught.value.status, caught.value.headers) == (503, {"Retry-After": "30"})

    asyncio.run(main())


def test_what_the_dead_have_left_is_removed(tmp_path: Path) -> None:
    directory = tmp_path / INCOMING
    directory.mkdir(parents=True)
    for name, age in (("old", 7200), ("new", 10)):
        (directory / name).touch()
        os.utime(directory / name, (time.time() - age,) * 2)
    MailBox(tmp_path, time.time).open()
    assert [path.name for path in directory.iterdir()] == ["new"]
