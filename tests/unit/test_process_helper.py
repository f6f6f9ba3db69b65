"""A helper in this process: it is started with its sockets, renewed, and drained."""

import asyncio
import os
import socket
from collections.abc import Sequence

from fastsmtp.clock import SystemClock
from fastsmtp.config.values import Endpoint
from fastsmtp.process import messages
from fastsmtp.process.child import Child
from fastsmtp.process.helper import Helper, Role
from fastsmtp.process.messages import Birth, Message
from fastsmtp.process.shared import Heartbeats
from fastsmtp.telemetry.maillog import MailLog

ENDPOINT = Endpoint(socket.AF_INET, "127.0.0.1", 0)


class Words:
    """Services that note what they are asked for."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        for sock in sockets:
            sock.close()
        self.said.append(f"start {len(sockets)}")

    def renew(self, certificate: int, file: int) -> None:
        os.close(file)
        self.said.append(f"renew {certificate}")

    def tick(self) -> None:
        self.said.append("tick")

    async def drain(self, grace: float) -> None:
        self.said.append(f"drain {grace:g}")

    async def stop(self) -> None:
        self.said.append("stop")


def test_a_life() -> None:
    words = Words()

    async def live() -> None:
        loop = asyncio.get_running_loop()
        clock = SystemClock()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock = socket.create_server(("127.0.0.1", 0))
        with ours, theirs:
            helper: Child = Helper(
                Birth(-1, theirs, os.getpid()),
                Role("web", (ENDPOINT,), lambda loop, log: words),
                [sock],
                beats=Heartbeats(1),
                grace=7,
                clock=clock,
                log=MailLog(clock, slot=None, fd=os.open(os.devnull, os.O_WRONLY)),
            )
            await helper.prepare(loop)
            await helper.serve()
            assert sock.fileno() >= 0  # what it was given is a copy
            await helper.obey(Message(messages.CERTIFICATE, 2, file=os.dup(theirs.fileno())))
            await helper.obey(Message(messages.ACCEPT))
            helper.tick()
            await helper.drain(7)
            assert sock.fileno() < 0
            await helper.stop()

    asyncio.run(live())
    assert words.said == ["start 1", "renew 2", "tick", "drain 7", "stop"]
