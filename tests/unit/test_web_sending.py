"""POST /v1/messages: mail comes in by the door that SMTP has, and is answered when it is kept."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.control import client
from fastsmtp.control.mail import INCOMING
from fastsmtp.limits.settings import LimitSettings
from fastsmtp.web import replay
from fastsmtp.web.replay import KEYS
from fastsmtp.web.trace import TraceApi
from tests.fakes.web import ADMIN, SHOP, Response, WebServer, serving, web_settings

Work = Callable[[WebServer], Awaitable[None]]

MAIL: dict[str, Any] = {
    "from": "News <news@shop.test>",
    "to": ["x@far.test"],
    "subject": "Hi",
    "text": "hello",
}
RAW = "message/rfc822"


def run(tmp_path: Path, work: Work, **settings: object) -> None:
    """Do ``work`` with a server."""

    async def main() -> None:
        async with serving(web_settings(tmp_path, **settings)) as server:
            await work(server)

    asyncio.run(asyncio.wait_for(main(), 60))


async def post(server: WebServer, body: Any = MAIL, query: str = "", **options: Any) -> Response:
    return await server.ask("POST", "/v1/messages" + query, body, **({"token": SHOP} | options))


async def queued(server: WebServer) -> list[dict[str, Any]]:
    """What waits, with headers."""
    rows = (await server.ask("GET", "/v1/queue", token=ADMIN)).json["messages"]
    return [(await server.ask("GET", f"/v1/queue/{row['id']}", token=ADMIN)).json for row in rows]


def left_behind(server: WebServer) -> list[Path]:
    return list((server.settings.data_dir / INCOMING).iterdir())


def test_a_message_as_json(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        body = {
            **MAIL,
            "to": ["Xaver <x@far.test>", "nobody@local.test"],
            "cc": ["bob@local.test"],
            "bcc": ["secret@far.test"],
            "html": "<p>héllo</p>",
            "attachments": [{"filename": "ä.txt", "content": base64.b64encode(b"data").decode()}],
        }
        answer = await post(server, body)
        assert answer.status == 202
        results = {one["address"]: (one["accepted"], one["code"]) for one in answer.json["recipients"]}
        assert results == {
            "x@far.test": (True, 250),
            "nobody@local.test": (False, 550),
            "bob@local.test": (True, 250),
            "secret@far.test": (True, 250),
        }
        (row,) = await queued(server)
        assert (row["id"], row["sender"], row["protocol"]) == (answer.json["id"], "news@shop.test", "HTTP")
        assert [one["address"] for one in row["recipients"]] == ["x@far.test", "secret@far.test"]
        assert "with HTTP id" in row["head"]
        assert "secret@far.test" not in row["head"]
        assert "\r\nMessage-ID: <" in row["head"]
        assert "\r\nDate: " in row["head"]

    run(tmp_path, work)


def test_a_message_as_it_is(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        text = b"From: news@shop.test\nTo: x@far.test\nBcc: y@far.test,\n z@far.test\nSubject: raw\n\nbody\r\rend"
        answer = await post(server, text, kind=RAW)
        assert [one["address"] for one in answer.json["recipients"]] == [
            "x@far.test",
            "y@far.test",
            "z@far.test",
        ]
        (row,) = await queued(server)
        assert "Bcc" not in row["head"]
        assert "z@far.test" not in row["head"]
        named = await post(server, text, "?from=other@shop.test&to=a@far.test&to=b@far.test", kind=RAW)
        assert [one["address"] for one in named.json["recipients"]] == ["a@far.test", "b@far.test"]

    run(tmp_path, work)


def test_a_large_message_goes_by_a_file_that_is_gone_afterwards(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        line = b"0123456789" * 7 + b"\n"
        text = b"From: news@shop.test\nTo: x@far.test\n\n" + line * 20_000
        answer = await post(server, text, kind=RAW)
        assert answer.status == 202
        (row,) = await queued(server)
        assert row["size"] > len(text) + 20_000  # each line has a CR more
        data = base64.b64encode(b"\x00\xff" * 400_000).decode()
        assert (
            await post(server, {**MAIL, "attachments": [{"filename": "x", "content": data}]})
        ).status == 202
        assert left_behind(server) == []

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subject": "a\r\nBcc: v@far.test"}, "subject"),
        ({"from": "news@shop.test>\r\nX: y <z@shop.test"}, "from"),
        ({"to": ["x@far.test, y@far.test"]}, "to"),
        ({"to": []}, "to"),
        ({"headers": {"Bcc": "x@far.test"}}, "headers.Bcc"),
        ({"headers": {"X-A": "a\nb"}}, "headers.X-A"),
        ({"headers": {"X\r\nY": "a"}}, "headers.X??Y"),
        ({"text": None}, "text"),
        ({"attachments": [{"filename": "../../etc/passwd", "content": ""}]}, "attachments.filename"),
        ({"attachments": [{"filename": "x", "content": "???"}]}, "base64"),
        ({"unknown": 1}, "unknown"),
        ({"to": ["x@far.test"] * 201}, "length"),
    ],
)
def test_what_cannot_be_a_message(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    async def work(server: WebServer) -> None:
        answer = await post(server, {**MAIL, **changes})
        assert answer.status == 422
        assert words in answer.json["detail"]
        assert await queued(server) == []

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("body", "query", "words"),
    [
        (b"", "", "empty"),
        (b"Subject: x\n\n", "", "from"),
        (b"From: news@shop.test\n\nx", "", "to"),
        (b"From: a@shop.test, b@shop.test\nTo: x@far.test\n\nx", "", "from"),
        (b'From: news@shop.test\nTo: "x\n\nx', "", "To"),
        (b"Subject: x\n\nx", "?from=news@shop.test&to=nobody", "address"),
        (b"A: " + b"x" * 70_000, "?from=news@shop.test&to=x@far.test", "header"),
    ],
)
def test_what_cannot_be_sent_as_it_is(tmp_path: Path, body: bytes, query: str, words: str) -> None:
    async def work(server: WebServer) -> None:
        answer = await post(server, body, query, kind=RAW)
        assert answer.status == 422
        assert words in answer.json["detail"]

    run(tmp_path, work)


def test_who_may_send_as_whom(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        made = {"login": "alice@local.test", "password": "secret12345"}
        await server.ask("POST", "/v1/accounts", made, token=ADMIN)
        own = {**MAIL, "from": "alice@local.test"}
        alice: dict[str, Any] = {"token": "", "basic": "alice@local.test:secret12345"}
        assert (await post(server, own, **alice)).status == 202
        assert (await post(server, MAIL, **alice)).status == 403
        assert (await post(server, own)).status == 403
        assert (await post(server, MAIL, token=ADMIN)).status == 403
        for basic in (
            "alice@local.test:wrong",
            "nobody@local.test:x",
            ":",
            "alice@local.test:",
            "a\0b:c",
            "x" * 2000 + ":y",
        ):
            answer = await post(server, own, token="", basic=basic)
            assert answer.status == 401, basic
            assert "Basic" in answer.fields["www-authenticate"]
        assert (await post(server, own, token="", fields={"Authorization": "Basic ???"})).status == 401
        await server.ask("PATCH", "/v1/accounts/alice@local.test", {"disabled": True}, token=ADMIN)
        assert (await post(server, own, **alice)).status == 401

    run(tmp_path, work)


def test_when_every_recipient_is_refused(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        answer = await post(server, {**MAIL, "to": ["nobody@local.test", "none@local.test"]})
        assert answer.status == 422
        assert [one["code"] for one in answer.json["recipients"]] == [550, 550]
        assert (await post(server, {**MAIL, "to": ["nobody@local.test"]})).json[
            "detail"
        ] == "no such mailbox here"

    run(tmp_path, work)


def test_sizes(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        text = b"From: news@shop.test\nTo: x@far.test\n\n" + b"x" * 200_000
        assert (await post(server, text, kind=RAW)).status == 413
        many = b"From: news@shop.test\nTo: x@far.test\n\n" + b"\n" * 99_000
        assert (await post(server, many, kind=RAW)).status == 413  # by the CR that each line lacks
        assert (await post(server, {**MAIL, "text": "x" * 300_000})).status == 413
        data = base64.b64encode(b"x" * 90_000).decode()
        assert (
            await post(server, {**MAIL, "attachments": [{"filename": "x", "content": data}]})
        ).status == 413
        assert left_behind(server) == []

    run(tmp_path, work, limits=LimitSettings(message_size=100_000, loopback_exempt=True))


def test_what_kind_of_body(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "",
        ):
            assert (await post(server, MAIL, kind=kind)).status == 415
        assert (await post(server, MAIL, kind="application/json; charset=utf-8")).status == 202
        assert (await post(server, MAIL, "?to=y@far.test")).status == 422

    run(tmp_path, work)


# --- once -----------------------------------------------------------------------------------------


def test_a_request_that_comes_twice_is_carried_out_once(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        key = {"Idempotency-Key": "order-7"}
        first, second = await post(server, fields=key), await post(server, fields=key)
        assert first.status == second.status == 202
        assert first.body == second.body
        assert second.fields["idempotent-replayed"] == "true"
        assert len(await queued(server)) == 1
        other = await post(server, {**MAIL, "subject": "other"}, fields=key)
        assert (other.status, "another request" in other.json["detail"]) == (422, True)
        text = b"From: news@shop.test\nTo: x@far.test\n\nx"
        raw = {"Idempotency-Key": "raw"}
        assert (await post(server, text, kind=RAW, fields=raw)).body == (
            await post(server, text, kind=RAW, fields=raw)
        ).body
        # What was refused may be tried again with the same key.
        bad = {"Idempotency-Key": "bad"}
        assert (await post(server, {**MAIL, "to": ["nobody@local.test"]}, fields=bad)).status == 422
        assert (await post(server, fields=bad)).status == 202
        for wrong in ("", "x" * 201, "a b", "é"):
            assert (await post(server, fields={"Idempotency-Key": wrong})).status == 422

    run(tmp_path, work)


def test_keys_are_each_users_own_and_grow_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(server: WebServer) -> None:
        key = {"Idempotency-Key": "1"}
        await server.ask(
            "POST", "/v1/accounts", {"login": "a@local.test", "password": "secret12345"}, token=ADMIN
        )
        own = {**MAIL, "from": "a@local.test"}
        assert (await post(server, fields=key)).status == 202
        assert (await post(server, own, token="", basic="a@local.test:secret12345", fields=key)).status == 202
        monkeypatch.setattr(replay, "KEPT", -1.0)
        again = await post(server, {**MAIL, "subject": "another"}, fields=key)
        assert (again.status, "idempotent-replayed" in again.fields) == (202, False)

    run(tmp_path, work)


def test_two_at_once_with_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(server: WebServer) -> None:
        key = {"Idempotency-Key": "1"}
        waiting, go_on = asyncio.Event(), asyncio.Event()
        usual = client.ask

        async def slow(path: Path, verb: str, argument: object, form: Any, **options: Any) -> Any:
            if verb == "mail.submit":
                waiting.set()
                await go_on.wait()
            return await usual(path, verb, argument, form, **options)

        monkeypatch.setattr("fastsmtp.web.hub.ask", slow)
        first = asyncio.create_task(post(server, fields=key))
        await waiting.wait()
        second = await post(server, fields=key)
        assert (second.status, "under way" in second.json["detail"]) == (409, True)
        go_on.set()
        assert (await first).status == 202

    run(tmp_path, work)


@pytest.mark.parametrize("received", [True, False, None])
def test_an_answer_that_was_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, received: bool | None
) -> None:
    """The process died, or lost its worker, after a message was promised: the ledger tells whether it was taken."""

    async def work(server: WebServer) -> None:
        key = {"Idempotency-Key": "1"}
        usual = client.ask

        async def lost(path: Path, verb: str, argument: object, form: Any, **options: Any) -> Any:
            answer = await usual(path, verb, argument, form, **options)
            if verb == "mail.submit":
                raise client.ControlError("x: the worker ended before it answered")
            return answer

        with monkeypatch.context() as patch:
            patch.setattr("fastsmtp.web.hub.ask", lost)
            assert (await post(server, fields=key)).status == 503
        (stored,) = await queued(server)
        again = await post(server, fields=key)
        if received is None:
            assert again.status == 409
            assert stored["id"] in again.json["detail"]
        else:
            assert again.status == 202
            assert (again.json["id"] == stored["id"]) is received
        assert len(await queued(server)) == (2 if received is False else 1)

    async def was_received(self: object, queue_id: str) -> bool | None:
        return received

    monkeypatch.setattr(TraceApi, "was_received", was_received)
    run(tmp_path, work)


def test_the_ledger_tells_whether_a_message_was_received(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        queue_id = (await post(server)).json["id"]
        trace = TraceApi(server.settings.data_dir, server.settings.ledger)
        async with asyncio.timeout(20):
            while not await trace.was_received(queue_id):
                await asyncio.sleep(0.02)
        assert await trace.was_received("Q") is False
        (story,) = (await server.ask("GET", f"/v1/trace?id={queue_id}", token=ADMIN)).json["messages"]
        assert story["events"][0]["kind"] == "received"
        assert story["events"][0]["login"] == "shop"
        (again,) = (await server.ask("GET", "/v1/trace?to=x@far.test", token=ADMIN)).json["messages"]
        assert again == story
        for query in ("", "?id=a&to=b", "?limit=5"):
            assert (await server.ask("GET", f"/v1/trace{query}", token=ADMIN)).status == 422

    run(tmp_path, work)


def test_without_a_worker_nothing_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmtp.web.hub.SETTLE", 0.0)

    async def work(server: WebServer) -> None:
        control = server.settings.data_dir / "control/0"
        control.rename(control.with_name("away"))
        answer = await post(server)
        assert (answer.status, answer.fields["retry-after"]) == (503, "5")
        assert list((server.settings.data_dir / KEYS).iterdir()) == []
        control.with_name("away").rename(control)

    run(tmp_path, work)


def test_a_worker_that_comes_is_waited_for(tmp_path: Path) -> None:
    async def work(server: WebServer) -> None:
        control = server.settings.data_dir / "control/0"
        control.rename(control.with_name("away"))
        request = asyncio.create_task(post(server))
        await asyncio.sleep(0.1)
        assert not request.done()
        control.with_name("away").rename(control)
        assert (await request).status == 202

    run(tmp_path, work)
