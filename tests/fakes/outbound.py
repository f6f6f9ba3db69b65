"""A sending transport on a real loop, with real sockets to peers on the loopback, and a clock that a test moves."""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import uvloop

from fastsmtp.config.values import Duration
from fastsmtp.dns.base import Addresses
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.transport.smtp.connection import Content
from fastsmtp.transport.smtp.deliver import Delivery, Job, SiteOutcome, SmtpTransport
from fastsmtp.transport.smtp.mx import Host
from fastsmtp.transport.smtp.place import Place, Target
from fastsmtp.transport.smtp.policy import Protection
from fastsmtp.transport.smtp.settings import OutboundSettings
from tests.fakes.clock import FakeClock
from tests.fakes.scripted_peer import ScriptedPeer

T = TypeVar("T")
DEADLINE = 60.0
NAME = "mx.far.test"
MESSAGE = b"Subject: hello\r\n\r\n.dots\r\nend\r\n"
Result = tuple[list[DeliveryResult], SiteOutcome]


def run(work: Coroutine[Any, Any, T]) -> T:
    """``work`` on a loop of uvloop, with a deadline."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, DEADLINE))


def protection(level: Any = "none", **more: Any) -> Protection:
    """A protection of the host's, by name and for tests."""
    return Protection(level=level, reason="a test", domain="far.test", **more)


def host(peer: ScriptedPeer, name: str = NAME) -> Host:
    """``peer`` as a host of that name."""
    addresses = Addresses(v6=(peer.address,)) if ":" in peer.address else Addresses(v4=(peer.address,))
    return Host(name=name, port=peer.port, addresses=addresses)


def target(peer: ScriptedPeer, needs: Protection | None = None, *, name: str = NAME, **more: Any) -> Target:
    """``peer`` as a target."""
    return Target(host(peer, name), needs or protection(), **more)


def place(*peers: ScriptedPeer, needs: Protection | None = None, **more: Any) -> Place:
    """A place whose hosts are ``peers``, the first one first, called mx1, mx2 and so on."""
    found = [target(peer, needs, name=f"mx{number}.far.test", **more) for number, peer in enumerate(peers, 1)]
    return Place("far.test", found)


def envelope(*recipients: str | Recipient, sender: str = "a@near.test", **params: str) -> Envelope:
    """An envelope for ``recipients``, one if none is given."""
    chosen = recipients or ("b@far.test",)
    return Envelope(
        id="ID00000001",
        sender=sender,
        recipients=[Recipient(one, "") if isinstance(one, str) else one for one in chosen],
        client_ip="192.0.2.9",
        helo="client.test",
        protocol="ESMTP",
        received_at=1_700_000_000.0,
        params=params or None,
    )


class World:
    """The transport; an async context manager, to be used within `run`."""

    def __init__(self, **settings: Any) -> None:
        chosen = {
            key: Duration(value) if isinstance(value, float) else value for key, value in settings.items()
        }
        self.clock = FakeClock()
        self._log_fd = os.memfd_create("log")
        self.log = MailLog(self.clock, slot=0, fd=self._log_fd)
        self.transport = SmtpTransport(
            OutboundSettings(**chosen), hostname="out.near.test", clock=self.clock, log=self.log
        )
        self.done: list[Result] = []

    async def __aenter__(self) -> "World":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.transport.stop(0)
        os.close(self._log_fd)

    def begin(
        self, where: Place, letter: Envelope | None = None, content: Content = MESSAGE
    ) -> tuple[Delivery, asyncio.Future[Result]]:
        """Deliver to all recipients; what comes of it. A second result fails the test."""
        letter = letter or envelope()
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def done(results: Sequence[DeliveryResult], site: SiteOutcome) -> None:
            assert sorted(one.recipient for one in results) == list(range(len(letter.recipients)))
            future.set_result((list(results), site))

        return self.transport.deliver(
            Job(letter, content, range(len(letter.recipients)), where), done
        ), future

    async def send(self, where: Place, letter: Envelope | None = None, content: Content = MESSAGE) -> Result:
        """Deliver, and wait for the results."""
        return await self.begin(where, letter, content)[1]

    async def pass_by(self, seconds: float) -> None:
        """Time passes, and the sweep comes."""
        self.clock.pass_by(seconds)
        self.transport.tick()

    def logged(self) -> str:
        """The log."""
        self.log.flush()
        return os.pread(self._log_fd, 1 << 20, 0).decode()


async def reached(peer: ScriptedPeer, stage: str, times: int = 1) -> None:
    """Wait until the peer's thread has come to ``stage``."""
    await asyncio.get_running_loop().run_in_executor(None, peer.reached, stage, times)
