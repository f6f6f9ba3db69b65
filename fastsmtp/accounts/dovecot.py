"""Dovecot is asked whether a password is right: the client's side of its authentication protocol, version 1.2.

One connection a worker, made when it is first needed and again after it broke; requests overlap on it. The protocol
is lines of fields with tabs between them; Dovecot's manual describes it.
"""

import asyncio
import base64
import itertools
import os

from fastsmtp.accounts.asked import Asked
from fastsmtp.accounts.base import Identity, Refused, Told, Unavailable, Verdict
from fastsmtp.accounts.names import canonical_login
from fastsmtp.accounts.passwords import DISABLED, IMPOSSIBLE, UNKNOWN, possible
from fastsmtp.clock import Clock

_PATIENCE = 30.0
"""Seconds for an answer; Dovecot takes a few before it refuses."""
_LONGEST_LINE = 64 << 10
_REFUSED = Refused("Dovecot refuses the login")


class _Request:
    """A login that waits for its answer: the line that asks, its latest moment, and who is told."""

    __slots__ = ("due", "line", "told")

    def __init__(self, line: bytes, due: float, told: Told) -> None:
        self.line = line
        self.due = due
        self.told = told


class DovecotAuthenticator(Asked, asyncio.Protocol):
    """The `Authenticator` of the Dovecot that listens on ``socket``. At most ``waiting`` logins wait at a time."""

    whom = "Dovecot"

    def __init__(
        self, socket: str, home: str, waiting: int, loop: asyncio.AbstractEventLoop, clock: Clock
    ) -> None:
        self._socket = socket
        self._home = home
        self._most = waiting
        self._loop = loop
        self._clock = clock
        self._ids = itertools.count(1)
        self._requests: dict[int, _Request] = {}
        self._transport: asyncio.WriteTransport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._ready = False
        self._plain = False
        self._rest = b""

    # --- `Authenticator` ----------------------------------------------------------------------

    def verify(self, login: str, password: bytes, told: Told) -> Verdict | None:
        """See `Authenticator.verify`."""
        if not possible(password):
            return IMPOSSIBLE
        name = canonical_login(login, self._home)
        if name is None:
            return UNKNOWN
        if len(self._requests) >= self._most:
            return Unavailable("too many logins wait for Dovecot")
        number = next(self._ids)
        response = base64.b64encode(b"\0" + name.encode() + b"\0" + password)
        # Whether TLS or loopback is enough for a password was decided before it was asked for.
        line = b"AUTH\t%d\tPLAIN\tservice=smtp\tsecured\tresp=%b\n" % (number, response)
        self._requests[number] = _Request(line, self._clock.monotonic() + _PATIENCE, told)
        if self._ready and self._transport is not None:
            self._transport.write(line)
        elif self._transport is None and self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())
        return None

    # --- the connection -----------------------------------------------------------------------

    def tick(self) -> None:
        """Give up what has waited too long."""
        now = self._clock.monotonic()
        for number in [number for number, request in self._requests.items() if request.due <= now]:
            self._requests.pop(number).told(Unavailable("Dovecot does not answer"))

    def stop(self) -> None:
        """Close the connection. From any thread."""
        self._loop.call_soon_threadsafe(self._close)

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE / 2):
                await self._loop.create_unix_connection(lambda: self, self._socket)
        except TimeoutError:
            self._fail(f"{self._socket}: no connection in time")
        except OSError as error:
            self._fail(f"{self._socket}: {error.strerror or error}")
        finally:
            self._connecting = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who we are."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._ready = self._plain = False
        self._rest = b""
        transport.write(b"VERSION\t1\t2\nCPID\t%d\n" % os.getpid())

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits hears that it cannot be told now."""
        self._transport = None
        self._ready = False
        self._fail("Dovecot has closed the connection")

    def data_received(self, data: bytes) -> None:
        """Lines, whole or in part."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)
        if len(self._rest) > _LONGEST_LINE:
            self._break("Dovecot sends lines without an end")

    def _take(self, line: bytes) -> None:
        word, *fields = line.split(b"\t")
        if word == b"VERSION" and fields[:1] != [b"1"]:
            self._break("Dovecot speaks another version of its protocol")
        elif word == b"MECH":
            self._plain = self._plain or fields[:1] == [b"PLAIN"]
        elif word == b"DONE" and not self._plain:
            self._break("Dovecot offers no PLAIN; see its auth_mechanisms")
        elif word == b"DONE" and self._transport is not None:
            self._ready = True
            self._transport.write(b"".join(request.line for request in self._requests.values()))
        elif word in (b"OK", b"FAIL", b"CONT") and fields and fields[0].isdigit():
            request = self._requests.pop(int(fields[0]), None)
            if request is not None:
                request.told(self._verdict(word, fields[1:]))

    def _verdict(self, word: bytes, fields: list[bytes]) -> Verdict:
        values = {key: value for key, _, value in (field.partition(b"=") for field in fields)}
        if word == b"OK" and b"nologin" in values:  # the password is right, and yet nobody may log in
            return DISABLED
        if word == b"OK":
            name = canonical_login(values.get(b"user", b"").decode("utf-8", "replace"), self._home)
            return Unavailable("Dovecot names no user@domain") if name is None else Identity(name)
        if word == b"CONT":
            return Unavailable("Dovecot asks for more than a password")
        code = values.get(b"code", b"")
        if b"temp" in values or code == b"temp_fail":
            return Unavailable("Dovecot cannot tell now; its log says why")
        return DISABLED if b"user_disabled" in values or code == b"user_disabled" else _REFUSED

    def _break(self, reason: str) -> None:
        self._fail(reason)
        self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, reason: str) -> None:
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.told(Unavailable(reason))
