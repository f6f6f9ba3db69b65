"""The server's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).

The keys that the server keeps show no password, and neither does the exchange. With -PLUS the client proves as well
that it sees our certificate (``tls-server-end-point``, RFC 5929 §4), so nobody with another one stands between.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets

from fastsmtp.sasl.gs2 import Gs2, header, saslname
from fastsmtp.sasl.server import Failed, KeysWanted, Malformed, Next, Proven

BINDING = "tls-server-end-point"
"""The one type of channel binding that is served."""

_NAME = "SCRAM"
_FIRST = re.compile(rb"n=(?P<user>[^,\0]{1,3072}),r=(?P<nonce>[!-+\--~]{1,512})(?:,[A-Za-z]=[^,\0]+)*")
_FINAL = re.compile(
    rb"(?P<without>c=(?P<binding>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]{1,1024})(?:,[A-Za-z]=[^,\0]+)*)"
    rb",p=(?P<proof>[A-Za-z0-9+/=]+)"
)


class ScramServer:
    """One exchange. ``end_point`` is the channel binding of a -PLUS exchange, None for one without. ``plus_offered``:
    whether -PLUS was among the mechanisms that the client could have seen. ``nonce`` is the server's part."""

    __slots__ = ("_end_point", "_first", "_gs2", "_login", "_message", "_nonce", "_plus_offered", "_server_key",
                 "_step", "_stored_key")  # fmt: skip

    def __init__(self, *, end_point: bytes | None, plus_offered: bool, nonce: str = "") -> None:
        self._end_point = end_point
        self._plus_offered = plus_offered
        self._nonce = (nonce or secrets.token_urlsafe(24)).encode()
        self._step = self._take_first
        self._gs2: Gs2
        self._login = ""
        self._first = b""
        self._message = b""
        self._stored_key = b""
        self._server_key = b""

    def start(self) -> bytes:
        """See `ServerMechanism.start`."""
        return b""

    def receive(self, message: bytes) -> Next:
        """See `ServerMechanism.receive`."""
        return self._step(message)

    def challenge(self, salt: bytes, iterations: int, stored_key: bytes, server_key: bytes) -> bytes:
        """server-first-message, when `receive` wanted the keys."""
        self._stored_key, self._server_key = stored_key, server_key
        said = b"r=%s,s=%s,i=%d" % (self._nonce, base64.b64encode(salt), iterations)
        self._message = self._first + b"," + said
        self._step = self._take_final
        return said

    def _take_first(self, message: bytes) -> Next:
        """client-first-message (RFC 5802 §7)."""
        self._gs2 = header(message, _NAME)
        self._first = message[len(self._gs2.octets) :]
        found = _FIRST.fullmatch(self._first)  # nor can it with a mandatory extension, ``m=``
        if found is None:
            raise Malformed("SCRAM: the first message cannot be read")
        self._login = saslname(found["user"], _NAME)
        self._nonce = found["nonce"] + self._nonce
        return self._binding_problem(self._gs2) or KeysWanted(self._login)

    def _binding_problem(self, gs2: Gs2) -> Failed | None:
        """RFC 5802 §6."""
        if self._end_point is not None:
            if gs2.flag != "p":
                raise Malformed("SCRAM: -PLUS without channel binding")
            if gs2.binding != BINDING:
                return Failed("a type of channel binding that is not served")
        elif gs2.flag == "p":
            raise Malformed("SCRAM: channel binding without -PLUS")
        elif gs2.flag == "y" and self._plus_offered:
            return Failed(
                "the client was not shown SCRAM-SHA-256-PLUS, which is offered: is somebody between?"
            )
        return None

    def _take_final(self, message: bytes) -> Next:
        """client-final-message."""
        found = _FINAL.fullmatch(message)
        if found is None:
            raise Malformed("SCRAM: the final message cannot be read")
        binding, proof = _octets(found["binding"]), _octets(found["proof"])
        if len(proof) != hashlib.sha256().digest_size:
            raise Malformed("SCRAM: a proof of the wrong length")
        if not hmac.compare_digest(found["nonce"], self._nonce):
            return Failed("the nonce is not that of this exchange")
        if not hmac.compare_digest(binding, self._gs2.octets + (self._end_point or b"")):
            return Failed("the channel binding is that of another connection: is somebody between?")
        text = self._message + b"," + found["without"]
        signature = hmac.digest(self._stored_key, text, "sha256")
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(client_key).digest(), self._stored_key):
            return Failed("wrong password")
        self._step = self._take_nothing
        return b"v=" + base64.b64encode(hmac.digest(self._server_key, text, "sha256"))

    def _take_nothing(self, message: bytes) -> Next:
        """SMTP has no room for the server's signature beside success; so it was a challenge (RFC 4954 §4)."""
        if message:
            raise Malformed("SCRAM: an answer to the server's signature that is not empty")
        return Proven(self._login, self._gs2.authorization)


def _octets(text: bytes) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("SCRAM: base64 that cannot be read") from None
