"""The contexts handshakes are made with, and the choice among several certificates by SNI (RFC 6066 §3).

A connection begins in the *entry* context, which has no certificate: the name the client asks for decides on the
context of one. The keys of session tickets are the entry's. It is made before the first fork and never again, so a
session is resumed by whichever worker the client meets, after certificates were replaced, and in a worker that was
started anew. Replacing a certificate makes a new context; sessions under way keep theirs.
"""

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path

from fastsmtp.tls.pair import CertificateError, Pair, load, received
from fastsmtp.tls.settings import CIPHERS, TlsSettings

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_CLIENTS = {"none": ssl.CERT_NONE, "ask": ssl.CERT_OPTIONAL, "require": ssl.CERT_REQUIRED}


class ServerObject(ssl.SSLObject):
    """The server's side of one session: with ``pair`` its certificate, from the moment it was chosen, and the
    ``server_name`` the client asked for."""

    pair: Pair | None = None
    server_name: str | None = None


class CertificateStore:
    """All certificates of the server, in the order of the settings; at least one.

    Raises `CertificateError` when OpenSSL takes a pair or the file of client authorities not.
    """

    def __init__(self, settings: TlsSettings, pairs: Sequence[Pair]) -> None:
        self._settings = settings
        self._authorities = _authorities(settings)
        self._pairs = list(pairs)
        self._contexts = [self._context(pair) for pair in pairs]
        self._entry = self._new()
        self._entry.sslobject_class = ServerObject
        self._entry.sni_callback = self._choose
        self._by_name: dict[str, int] = {}
        self._index()

    def context(self) -> ssl.SSLContext:
        """The context to begin a handshake with; its objects are `ServerObject`."""
        return self._entry

    def pairs(self) -> tuple[Pair, ...]:
        """What new handshakes use."""
        return tuple(self._pairs)

    def replace(self, number: int, pair: Pair) -> None:
        """Use ``pair`` for new handshakes in place of the one at ``number``. Raises `CertificateError`, and then
        nothing has changed."""
        context = self._context(pair)
        self._pairs[number], self._contexts[number] = pair, context
        self._index()

    def find(self, server_name: str | None) -> int:
        """The number of the certificate for the host that a client names; the first when none is for it."""
        if not server_name:
            return 0
        name = server_name.lower().rstrip(".")
        number = self._by_name.get(name)
        if number is None:
            number = self._by_name.get(f"*.{name.partition('.')[2]}", 0)
        return number

    def _choose(self, handshake: ssl.SSLObject, server_name: str | None, entry: ssl.SSLContext) -> None:
        number = self.find(server_name)
        handshake.context = self._contexts[number]
        if isinstance(handshake, ServerObject):
            handshake.pair = self._pairs[number]
            handshake.server_name = server_name

    def _index(self) -> None:
        self._by_name = names_of([pair.facts.names for pair in self._pairs])

    def _context(self, pair: Pair) -> ssl.SSLContext:
        context = self._new()
        try:
            load(context, pair.pem)
        except ssl.SSLError as error:
            raise CertificateError(f"{pair.facts.subject}: OpenSSL refuses it: {error.reason}") from None
        return context

    def _new(self) -> ssl.SSLContext:
        settings = self._settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = _VERSIONS[settings.min_version]
        context.set_ciphers(settings.ciphers or CIPHERS)
        context.options |= ssl.OP_NO_RENEGOTIATION
        # All ciphers are good: the client knows which of them its machine is fast at.
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        # One ticket is enough for a client that comes again; each costs a signature's share of a handshake.
        context.num_tickets = 1
        context.verify_mode = _CLIENTS[settings.client_certificates]
        if self._authorities:
            context.load_verify_locations(cadata=self._authorities)
        return context


def renew(store: CertificateStore | None, number: int, file: int, event: Callable[[str], object]) -> None:
    """Use the pair in the open ``file``, which is closed, in place of the one at ``number``; when it is refused
    ``event`` gets a line. Nothing where there is no ``store``."""
    pair = received(file)
    try:
        if store is not None:
            store.replace(number, pair)
    except CertificateError as error:
        event(f"tls.certificates[{number}]: the old certificate stays in use: {error}")


def names_of(certificates: Sequence[Sequence[str]]) -> dict[str, int]:
    """Which certificate a name is answered with, by its number, from the names of each."""
    chosen: dict[str, int] = {}
    for number, names in enumerate(certificates):
        for name in names:
            chosen.setdefault(name, number)
    return chosen


def _authorities(settings: TlsSettings) -> str:
    if settings.client_ca is None or settings.client_certificates == "none":
        return ""
    path = Path(settings.client_ca)
    try:
        text = path.read_text("ascii", "replace")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=text)
    except OSError as error:  # ssl.SSLError is one
        why = "there is no certificate in PEM in it" if isinstance(error, ssl.SSLError) else error.strerror
        raise CertificateError(f"{path}: cannot be used as client_ca: {why}") from None
    return text
