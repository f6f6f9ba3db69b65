"""AUTH from the client's side: a mechanism's messages in base64 (RFC 4954 §4)."""

import base64
import binascii
from collections.abc import Sequence

from fastsmtp.smtp.outgoing_values import Mechanism, Outcome

_LINE = 512
"""Octets of an AUTH command with its CRLF; a longer initial response has to wait for its turn."""

_CANCEL = b"*\r\n"


class Exchange:
    """One AUTH command. ``failure`` is our reason for having cancelled it, else None. ``working``: the answer is
    given to `worked`."""

    __slots__ = ("_mechanism", "_waiting", "failure", "working")

    def __init__(self, mechanism: Mechanism) -> None:
        self._mechanism = mechanism
        self._waiting: bytes | None = None
        self.failure: Outcome | None = None
        self.working = False

    def begin(self) -> bytes:
        """The command, with the initial response when there is one that fits."""
        command = b"AUTH " + self._mechanism.name.encode("ascii")
        response = self._mechanism.start()
        if response is None:
            return command + b"\r\n"
        line = command + b" " + (base64.b64encode(response) or b"=") + b"\r\n"
        if len(line) <= _LINE:
            return line
        self._waiting = response
        return command + b"\r\n"

    def answer(self, lines: Sequence[bytes]) -> bytes:
        """What to write to a 334; ``*`` ends an exchange that the server does not keep to. Nothing when the answer
        has to be worked for."""
        if self.failure is not None:
            return _CANCEL
        try:
            challenge = base64.b64decode(lines[-1][4:].strip(), validate=True)
            response: bytes | None
            if self.working:
                self.working = False
                raise ValueError("a challenge came before the answer to the one before")
            if self._waiting is None:
                response = self._mechanism.step(challenge)
            elif challenge:
                raise ValueError("a challenge came where none belongs")
            else:
                response, self._waiting = self._waiting, None
        except binascii.Error:
            self.failure = self._ours("a challenge is not base64")
            return _CANCEL
        except ValueError as error:
            self.failure = self._ours(str(error))
            return _CANCEL
        if response is None:
            self.working = True
            return b""
        return base64.b64encode(response) + b"\r\n"

    def worked(self, response: bytes) -> bytes:
        """What to write when the answer has been worked for; nothing when the server did not wait for it."""
        if not self.working:
            return b""
        self.working = False
        return base64.b64encode(response) + b"\r\n"

    def doubt(self) -> Outcome | None:
        """Why the server's success is not to be believed; None when it is."""
        late = self._waiting is not None or self.working
        if self.failure is None and (late or not self._mechanism.complete()):
            return self._ours("success came before the exchange was complete")
        return self.failure

    def _ours(self, why: str) -> Outcome:
        text = f"AUTH {self._mechanism.name}: {why}"
        return Outcome("deferred", 0, "4.7.0", text, "auth", True)
