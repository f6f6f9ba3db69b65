"""Who is there, and what was said, as it is asked for at the control socket."""

import asyncio
from pathlib import Path

from fastsmtp.control.server import ControlServer
from fastsmtp.control.sessions import SessionRequests
from fastsmtp.session.talks import rows, shown, watched
from tests.fakes.service import World


def test_open_sessions_and_those_with_refusals() -> None:
    world = World()
    good, bad = world.connect("192.0.2.1"), world.connect("192.0.2.2")
    good.feed(b"EHLO good.test\r\n")
    bad.feed(b"EHLO bad.test\r\nMAIL FROM:<a@b.test>\r\n")
    bad.feed(b"RCPT TO:<nobody@local.test>\r\n")
    found = {row.client: row for row in rows(world.service)}
    assert (found["192.0.2.1"].name, found["192.0.2.1"].facts.helo) == ("", "good.test")
    row = found["192.0.2.2"]
    assert (row.name, row.state, row.refusals) == ("0.1", "open", 1)
    assert (row.facts.helo, row.facts.sender, row.facts.recipients) == ("bad.test", "a@b.test", 0)
    bad.lose()
    ended = rows(world.service)[-1]
    assert (ended.name, ended.state) == ("0.1", "ended")
    found_there = shown(world.service, "0.1")
    assert found_there is not None
    assert [said.text for said in found_there.lines] == [
        "RCPT TO:<nobody@local.test>",
        "550 5.1.1 no such mailbox here",
    ]
    assert shown(world.service, "0.2") is None
    world.close()


def test_the_requests(tmp_path: Path) -> None:
    async def main() -> None:
        world = World()
        requests = SessionRequests(world.service)
        requests.register(ControlServer(tmp_path / "socket", world.log.event))
        assert (await requests.watch(-1)).lines == []
        client = world.connect("192.0.2.1")
        client.feed(b"NOOP\r\n")
        heard = watched(world.service, 0)
        assert [one.said.text for one in heard.lines] == ["NOOP", "250 2.0.0 OK"]
        assert (await requests.watch(heard.position)).lines == []
        assert [row.client for row in await requests.ls(None)] == ["192.0.2.1"]
        assert await requests.show("0.9") is None
        world.close()

    asyncio.run(main())
