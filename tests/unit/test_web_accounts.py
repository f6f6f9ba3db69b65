"""Accounts, domains and aliases by HTTP, by way of a worker's control socket."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.accounts.settings import AccountSettings
from fastsmtp.control.accounts import NewUser, UserRow
from fastsmtp.control.server import Refused
from fastsmtp.process.account_desk import EmbeddedDesk
from fastsmtp.web.accounts import PasswordSet
from tests.fakes.web import ADMIN, SHOP, serving, web_settings

Ask = Callable[..., Awaitable[tuple[int, Any]]]


def run(tmp_path: Path, work: Callable[[Ask], Awaitable[None]], **settings: object) -> None:
    """Do ``work`` with what asks a server as its administrator."""

    async def main() -> None:
        async with serving(web_settings(tmp_path, **settings)) as server:

            async def ask(method: str, path: str, body: Any = None) -> tuple[int, Any]:
                answer = await server.ask(method, f"/v1/{path}", body, token=ADMIN)
                return answer.status, answer.json if answer.body else None

            await work(ask)

    asyncio.run(asyncio.wait_for(main(), 60))


def test_an_account_from_its_begin_to_its_end(tmp_path: Path) -> None:
    async def work(ask: Ask) -> None:
        new = {
            "login": "Alice@Local.test",
            "password": "secret12345",
            "quota": 100,
            "senders": ["@Shop.test"],
        }
        made = {
            "login": "alice@local.test",
            "disabled": False,
            "quota": 100,
            "senders": ["@shop.test"],
            "scram": False,
            "aliases": [],
        }
        assert await ask("POST", "accounts", new) == (201, made)
        assert (await ask("POST", "accounts", new))[0] == 409
        assert await ask("POST", "aliases/info@local.test", {"addresses": ["alice@local.test"]}) == (
            200,
            {"alias": "info@local.test", "addresses": ["alice@local.test"]},
        )
        changed = {**made, "disabled": True, "senders": [], "aliases": ["info@local.test"]}
        assert await ask("PATCH", "accounts/alice@local.test", {"disabled": True, "senders": []}) == (
            200,
            changed,
        )
        assert await ask("GET", "accounts/alice@local.test") == (200, changed)
        assert await ask("PUT", "accounts/alice@local.test/password", {"password": "another12345"}) == (
            204,
            None,
        )
        assert await ask("DELETE", "accounts/alice@local.test") == (200, {"aliases": ["info@local.test"]})
        for method, path, body in (
            ("GET", "accounts/alice@local.test", None),
            ("DELETE", "accounts/alice@local.test", None),
            ("PATCH", "accounts/alice@local.test", {"quota": 1}),
            ("PUT", "accounts/alice@local.test/password", {"password": "another12345"}),
        ):
            assert (await ask(method, path, body))[0] == 404, path

    run(tmp_path, work)


def test_lists_come_in_parts(tmp_path: Path) -> None:
    async def work(ask: Ask) -> None:
        for name in "abc":
            await ask("POST", "accounts", {"login": f"{name}@local.test", "password": "secret12345"})
            await ask("POST", f"aliases/x{name}@local.test", {"addresses": [f"{name}@local.test"]})
        _, first = await ask("GET", "accounts?limit=2")
        assert ([one["login"] for one in first["accounts"]], first["next"]) == (
            ["a@local.test", "b@local.test"],
            "b@local.test",
        )
        _, rest = await ask("GET", "accounts?limit=2&after=b@local.test")
        assert ([one["login"] for one in rest["accounts"]], rest["next"]) == (["c@local.test"], None)
        _, aliases = await ask("GET", "aliases?after=xa@local.test")
        assert [one["alias"] for one in aliases["aliases"]] == ["xb@local.test", "xc@local.test"]
        assert (await ask("GET", "accounts?after=z"))[1] == {"accounts": [], "next": None}

    run(tmp_path, work)


def test_domains_and_aliases(tmp_path: Path) -> None:
    async def work(ask: Ask) -> None:
        assert (await ask("POST", "domains", {"domain": "Shop.test"}))[0] == 204
        assert (await ask("POST", "domains", {"domain": "shop.test"}))[0] == 409
        assert await ask("GET", "domains") == (
            200,
            {
                "domains": [
                    {"domain": "local.test", "place": "settings"},
                    {"domain": "shop.test", "place": "accounts"},
                ]
            },
        )
        both = {"addresses": ["bob@local.test", "x@far.test"]}
        assert (await ask("POST", "aliases/all@shop.test", both))[0] == 200
        left = await ask("DELETE", "aliases/all@shop.test?address=x@far.test")
        assert left == (200, {"alias": "all@shop.test", "addresses": ["bob@local.test"]})
        assert (await ask("DELETE", "domains/shop.test"))[0] == 409
        assert (await ask("DELETE", "aliases/all@shop.test"))[1]["addresses"] == []
        assert (await ask("DELETE", "aliases/all@shop.test"))[0] == 404
        assert (await ask("DELETE", "domains/shop.test"))[0] == 204
        assert (await ask("DELETE", "domains/shop.test"))[0] == 404
        assert (await ask("DELETE", "domains/local.test"))[0] == 409
        for alias, addresses in (
            ("x@elsewhere.test", ["bob@local.test"]),
            ("a@local.test", ["nobody@local.test"]),
        ):
            assert (await ask("POST", f"aliases/{alias}", {"addresses": addresses}))[0] == 409

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("accounts", {"login": "alice", "password": "secret12345"}, 409),
        ("accounts", {"login": "alice@local.test", "password": ""}, 422),
        ("accounts", {"login": "alice@local.test", "password": "a\nb"}, 409),
        ("accounts", {"login": "alice@local.test"}, 422),
        ("accounts", {"login": "alice@local.test", "password": "x" * 1001}, 422),
        ("accounts", {"login": "alice@local.test", "password": "secret12345", "senders": ["x"]}, 409),
        ("domains", {"domain": "[192.0.2.1]"}, 409),
        ("domains", {"domain": "a b"}, 409),
        ("aliases/x@local.test", {"addresses": []}, 422),
    ],
)
def test_what_cannot_be(tmp_path: Path, path: str, body: dict[str, Any], status: int) -> None:
    async def work(ask: Ask) -> None:
        found, answer = await ask("POST", path, body)
        assert found == status
        assert "secret" not in answer["detail"]

    run(tmp_path, work)


def test_accounts_that_are_kept_elsewhere(tmp_path: Path) -> None:
    async def work(ask: Ask) -> None:
        status, answer = await ask("GET", "accounts")
        assert (status, '"static"' in answer["detail"]) == (409, True)

    run(tmp_path, work, accounts=AccountSettings())


def test_tokens_that_send_may_not_administer(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(web_settings(tmp_path)) as server:
            for method, path in (("GET", "accounts"), ("DELETE", "accounts/a@b.test"), ("POST", "domains")):
                answer = await server.ask(method, f"/v1/{path}", {"domain": "x.test"}, token=SHOP)
                assert answer.status == 403

    asyncio.run(main())


def test_passwords_are_shown_to_nobody() -> None:
    assert "secret" not in repr(NewUser(login="a@b.test", password="secret12345"))
    assert "secret" not in repr(PasswordSet(password="secret12345"))


def test_the_desk_of_another_backend_refuses(tmp_path: Path) -> None:
    desk = EmbeddedDesk(web_settings(tmp_path), None)  # type: ignore[arg-type]
    with pytest.raises(Refused):
        asyncio.run(desk.user("a@b.test"))
    assert UserRow(login="x").quota == 0
