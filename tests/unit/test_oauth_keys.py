"""The issuer's keys: what is read, and when it is read again."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fastsmtp.oauth.keys import LARGEST, PAUSE, FileKeys, KeysError, UrlKeys, read_keys
from fastsmtp.oauth.settings import OauthSettings
from tests.fakes.clock import FakeClock
from tests.tools.jwt import Issuer

THEM = Issuer()
URL = "https://login.example.org/jwks.json"


def names(keys: UrlKeys | FileKeys) -> set[str | None]:
    return {key.kid for key in keys.current or ()}


def test_keys_are_read() -> None:
    assert {key.kid for key in read_keys(THEM.jwks)} == {"rsa", "ec", "ed"}


def test_what_is_not_understood_is_left_out() -> None:
    rows = json.loads(THEM.jwks)["keys"][:1]
    more = [{"kty": "oct", "k": "c2VjcmV0", "kid": "hmac"}, {"kty": "AKP", "kid": "new"}]
    assert [key.kid for key in read_keys(json.dumps({"keys": more + rows}).encode())] == ["rsa"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"{}",
        b'{"keys":5}',
        b'{"keys":[]}',
        b'{"keys":[5]}',
        b'{"keys":[{"kty":"RSA"}]}',
        b'{"keys":[{"kty":"RSA","n":"","e":"AQAB"}]}',
        b'{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}',
        b'{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}',
        b"\xff",
        b"[" * 60_000,
        b" " * (LARGEST + 1),
    ],
)
def test_what_is_no_set_of_keys(text: bytes) -> None:
    with pytest.raises(KeysError):
        read_keys(text)


def test_a_file_is_followed(tmp_path: Path) -> None:
    file, events = tmp_path / "keys.json", list[str]()
    keys = FileKeys(str(file), events.append)
    with pytest.raises(KeysError, match="No such file"):
        keys.open()
    file.write_bytes(b"{}")
    with pytest.raises(KeysError, match="no JWKS"):
        keys.open()
    file.write_bytes(THEM.jwks)
    keys.open()
    assert names(keys) == {"rsa", "ec", "ed"}
    assert not keys.renew(lambda: None)

    only = json.dumps({"keys": json.loads(THEM.jwks)["keys"][:1]}).encode()
    (tmp_path / "new").write_bytes(only)
    os.replace(tmp_path / "new", file)
    keys.tick()
    assert (names(keys), events) == ({"rsa"}, [])

    file.write_bytes(b"broken")
    keys.tick()
    keys.tick()
    assert names(keys) == {"rsa"}
    assert len(events) == 1
    assert "stay in use" in events[0]
    file.unlink()
    keys.tick()
    keys.stop()
    assert names(keys) == {"rsa"}


class Web:
    """Fetches that a test answers."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[bytes]] = []
        self.clock = FakeClock()
        self.events: list[str] = []
        self.keys = UrlKeys(URL, 3600, self.fetch, self.clock, self.events.append)

    async def fetch(self, url: str) -> bytes:
        assert url == URL
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]

    async def answer(self, answer: bytes | Exception) -> None:
        await asyncio.sleep(0)
        if isinstance(answer, bytes):
            self.asked[-1].set_result(answer)
        else:
            self.asked[-1].set_exception(answer)
        for _ in range(3):
            await asyncio.sleep(0)


def with_web(test: Callable[[Web], Awaitable[None]]) -> Web:
    async def run() -> Web:
        web = Web()
        await test(web)
        web.keys.stop()
        return web

    return asyncio.run(run())


def test_keys_are_fetched_again_when_due() -> None:
    async def test(web: Web) -> None:
        web.keys.tick()
        web.keys.tick()
        await web.answer(THEM.jwks)
        assert names(web.keys) == {"rsa", "ec", "ed"}
        web.clock.steady += 3599
        web.keys.tick()
        await asyncio.sleep(0)
        assert len(web.asked) == 1
        web.clock.steady += 1
        web.keys.tick()
        await web.answer(b"{}")
        assert names(web.keys) == {"rsa", "ec", "ed"}, "the old ones stay"
        assert len(web.events) == 1
        web.clock.steady += PAUSE - 1
        web.keys.tick()
        await asyncio.sleep(0)
        assert len(web.asked) == 2
        web.clock.steady += 1
        web.keys.tick()
        await web.answer(KeysError("no connection"))
        assert web.events[1] == f"auth.oauth.keys: {URL}: no connection"

    assert len(with_web(test).asked) == 3


def test_an_unknown_key_has_them_fetched_but_not_every_time() -> None:
    async def test(web: Web) -> None:
        told: list[int] = []
        web.keys.tick()
        assert web.keys.renew(lambda: told.append(1)), "one fetch for all"
        assert web.keys.renew(lambda: told.append(2))
        await web.answer(THEM.jwks)
        assert told == [1, 2]
        assert not web.keys.renew(lambda: told.append(3))
        web.clock.steady += PAUSE
        assert web.keys.renew(lambda: told.append(4))
        await web.answer(KeysError("no connection"))
        assert told == [1, 2, 4], "told when it failed too"

    assert len(with_web(test).asked) == 2


def test_a_fault_leaves_nobody_waiting() -> None:
    async def test(web: Web) -> None:
        told: list[int] = []
        assert web.keys.renew(lambda: told.append(1))
        await web.answer(ZeroDivisionError("a secret"))
        assert told == [1]
        (event,) = web.events
        assert event.startswith(f"auth.oauth.keys: {URL}: internal error, ZeroDivisionError at ")

    with_web(test)


def test_the_end_while_keys_are_fetched() -> None:
    async def test(web: Web) -> None:
        assert web.keys.renew(lambda: pytest.fail("told after the end"))
        await asyncio.sleep(0)
        web.keys.stop()
        await asyncio.sleep(0)
        assert web.asked[0].cancelled()
        web.clock.steady += 10_000
        web.keys.tick()
        await asyncio.sleep(0)

    assert len(with_web(test).asked) == 1


@pytest.mark.parametrize(
    "keys",
    ["http://login.example.org/x", "https://", "https://u@login.example.org/", "https://a b/", "https://ü.example/",
     "https://a:x/", "ftp://a/"],
)  # fmt: skip
def test_where_keys_cannot_be(keys: str) -> None:
    with pytest.raises(ValueError, match="keys: expected a file"):
        OauthSettings(issuer="x", audience="y", keys=keys)
    assert OauthSettings(issuer="x", audience="y", keys=URL).by_https
    assert not OauthSettings(issuer="x", audience="y", keys="keys.json").by_https
