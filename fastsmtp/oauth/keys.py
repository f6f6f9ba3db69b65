"""The issuer's keys (JWKS, RFC 7517): from a file that is watched, or fetched again and again behind the logins."""

import asyncio
import json
from collections.abc import Awaitable, Callable

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from fastsmtp.clock import Clock
from fastsmtp.config.signature import Signature, signature
from fastsmtp.defects import describe

PAUSE = 60.0
"""Seconds between two fetches that are not due, however many tokens name unknown keys, and after one in vain."""
LARGEST = 65_536
"""Octets of a set of keys."""


class KeysError(Exception):
    """No keys; the text says why, in one line."""


def read_keys(text: bytes) -> KeySet:
    """The keys in a JWKS but for those that are secrets, which no signature here is made with. Raises `KeysError`."""
    if len(text) > LARGEST:
        raise KeysError(f"longer than {LARGEST} octets")
    try:
        rows = json.loads(text)["keys"]
        public = [row for row in rows if row.get("kty") != "oct"]
        return KeySet.import_key_set({"keys": public})
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise KeysError("it is no JWKS with a public key (RFC 7517)") from None


class FileKeys:
    """The `Keys` in ``file``, read again within a second after it has changed. ``event`` takes lines for the log.
    `open` comes first."""

    def __init__(self, file: str, event: Callable[[str], None]) -> None:
        self._file = file
        self._event = event
        self._seen: Signature = None
        self.current: KeySet | None = None

    def open(self) -> None:
        """Read it. Raises `KeysError`."""
        self._seen = signature(self._file)
        try:
            with open(self._file, "rb") as stream:
                self.current = read_keys(stream.read(LARGEST + 1))
        except OSError as error:
            raise KeysError(f"{self._file}: {error.strerror}") from None
        except KeysError as error:
            raise KeysError(f"{self._file}: {error}") from None

    def renew(self, done: Callable[[], None]) -> bool:
        """See `Keys.renew`."""
        return False

    def tick(self) -> None:
        """Once a second."""
        now = signature(self._file)
        if now is None or now == self._seen:  # none between two versions, perhaps; what is known stays good
            return
        try:
            self.open()
        except KeysError as error:
            self._event(f"auth.oauth.keys: the old ones stay in use: {error}")

    def stop(self) -> None:
        """Nothing is under way."""


class UrlKeys:
    """The `Keys` at ``url``, fetched by ``fetch`` (which has a time-out, and raises `KeysError`) every ``refresh``
    seconds. What was fetched stays good when a later fetch fails."""

    def __init__(
        self,
        url: str,
        refresh: float,
        fetch: Callable[[str], Awaitable[bytes]],
        clock: Clock,
        event: Callable[[str], None],
    ) -> None:
        self._url = url
        self._refresh = refresh
        self._fetch = fetch
        self._clock = clock
        self._event = event
        self._begun = float("-inf")
        self._due = float("-inf")
        self._waiting: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None
        self.current: KeySet | None = None

    def renew(self, done: Callable[[], None]) -> bool:
        """See `Keys.renew`."""
        if self._task is None:
            if self._clock.monotonic() < self._begun + PAUSE:
                return False
            self._begin()
        self._waiting.append(done)
        return True

    def tick(self) -> None:
        """Once a second, on the loop's thread."""
        if self._task is None and self._clock.monotonic() >= self._due:
            self._begin()

    def stop(self) -> None:
        """Fetch no more; who waits hears nothing."""
        self._due = float("inf")
        if self._task is not None:
            self._task.cancel()

    def _begin(self) -> None:
        self._begun = self._clock.monotonic()
        self._due = self._begun + min(PAUSE, self._refresh)
        self._task = asyncio.get_running_loop().create_task(self._renewed())

    async def _renewed(self) -> None:
        try:
            self.current = read_keys(await self._fetch(self._url))
            self._due = self._clock.monotonic() + self._refresh
        except KeysError as error:
            self._event(f"auth.oauth.keys: {self._url}: {error}")
        except Exception as error:  # whoever waits is told whatever happens
            self._event(f"auth.oauth.keys: {self._url}: {describe(error)}")
        finally:
            self._task = None
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done()
