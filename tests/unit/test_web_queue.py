"""The queue and the limits by HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.control.client import ControlError
from fastsmtp.control.queue import NotPossible
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.web.hub import problem_of
from fastsmtp.web.limits import Standings
from fastsmtp.web.queue import QueueQuery
from tests.fakes.web import ADMIN, SHOP, WebServer, serving, web_settings

Work = Callable[[WebServer], Awaitable[None]]


def run(tmp_path: Path, work: Work, **settings: object) -> None:
    """Do ``work`` with a server."""

    async def main() -> None:
        async with serving(web_settings(tmp_path, **settings)) as server:
            await work(server)

    asyncio.run(asyncio.wait_for(main(), 60))


async def filled(server: WebServer, count: int = 3) -> list[str]:
    """So many messages for x0@far.test, x1@far.test and so on; their ids."""
    ids = []
    for number in range(count):
        body = {
            "from": "a@shop.test",
            "to": [f"x{number}@far.test"],
            "subject": f"number {number}",
            "text": "x",
        }
        ids.append((await server.ask("POST", "/v1/messages", body, token=SHOP)).json["id"])
    return ids


async def get(server: WebServer, path: str) -> Any:
    answer = await server.ask("GET", f"/v1/{path}", token=ADMIN)
    assert answer.status == 200, answer
    return answer.json


async def act(server: WebServer, **body: Any) -> Any:
    answer = await server.ask("POST", "/v1/queue/actions", body, token=ADMIN)
    return answer.json if answer.status == 200 else answer.status


def test_the_queue_is_listed_counted_and_shown(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        ids = await filled(server)
        found = await get(server, "queue?limit=2")
        assert ([one["id"] for one in found["messages"]], found["more"], found["complete"]) == (
            ids[:2],
            True,
            True,
        )
        assert [one["id"] for one in (await get(server, "queue?recipient=x1@*"))["messages"]] == ids[1:2]
        assert await get(server, "queue/count") == {"messages": 3, "complete": True}
        assert (await get(server, "queue/count?older=1000"))["messages"] == 0
        shown = await get(server, f"queue/{ids[2]}")
        assert "Subject: number 2\r\n" in shown["head"]
        assert (shown["shard"], shown["sender"]) == (0, "a@shop.test")

    run(tmp_path, work)


def test_messages_are_changed(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        ids = await filled(server)
        only = {"recipient": "x1@far.test"}
        assert await act(server, action="hold", filter=only, dry_run=True) == {
            "action": "hold",
            "dry_run": True,
            "matched": 1,
            "changed": 0,
            "skipped": 0,
            "complete": True,
        }
        assert (await act(server, action="hold", filter=only))["changed"] == 1
        assert [one["id"] for one in (await get(server, "queue?state=held"))["messages"]] == ids[1:2]
        assert (await act(server, action="release", filter=only))["changed"] == 1
        moved = await act(server, action="reroute", filter={"ids": ids[:1]}, hops=["backup.test:25"])
        assert moved["changed"] == 1
        assert (await get(server, f"queue/{ids[0]}"))["hops"] == ["backup.test:25"]
        assert (await act(server, action="remove", everything=True))["changed"] == 3
        assert (await get(server, "queue"))["messages"] == []

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"action": "remove"}, 422),
        ({"action": "remove", "everything": True, "filter": {"code": "450"}}, 422),
        ({"action": "hold", "everything": True, "hops": ["x.test:25"]}, 422),
        ({"action": "remove", "everything": True, "unknown": 1}, 422),
        ({"action": "remove", "filter": {"ids": ["x" * 65]}}, 422),
        ({"action": "reroute", "filter": {"recipient": "x*"}, "hops": ["no host"]}, 409),
        ({"action": "bounce", "filter": {"recipient": "x*"}}, 409),  # nothing is delivered here
    ],
)
def test_what_is_not_done(tmp_path: Path, body: dict[str, Any], status: int) -> None:
    async def work(server: WebServer) -> None:
        await filled(server, 1)
        assert await act(server, **body) == status
        assert (await get(server, "queue/count"))["messages"] == 1

    run(tmp_path, work)


def test_limits_are_told_and_forgotten(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        assert await get(server, "limits") == {"rules": []}
        assert await get(server, "limits/192.0.2.7") == {"rules": []}
        assert (await server.ask("DELETE", "/v1/limits/far.test", token=ADMIN)).json == {"rules": []}
        assert (await server.ask("GET", "/v1/limits/" + "x" * 401, token=ADMIN)).status == 422
        assert Standings(rules=[]).rules == []

    run(tmp_path, work, limits=LimitSettings(loopback_exempt=True))


def test_what_a_worker_says_no_to() -> None:
    def status(error: ControlError | NotPossible) -> tuple[int, str]:
        problem = problem_of(error)
        return problem.status, problem.detail

    assert status(NotPossible("hold: no")) == (409, "hold: no")
    assert status(ControlError("/x/y: not there", "missing")) == (404, "not there")
    assert status(ControlError("/x/y: bad", "request")) == (422, "bad")
    assert status(ControlError("/x/y: oh", "failed")) == (500, "oh")
    assert status(ControlError("/x/y: try again", "busy")) == (503, "try again")
    assert QueueQuery().limit == 100
