"""A DNS server on loopback, over UDP and TCP, that answers from a scripted zone like a resolver: it follows aliases,
says NXDOMAIN with an SOA record, and sets AD for the names it is told to. In a thread of its own, so that a test in
the same process and a server in another one can both ask it."""

import selectors
import socket
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from fastsmtp.config.values import Endpoint

SOA = "ns.test. root.test. 1 3600 600 86400 60"
"""The last number is how long it may be remembered that something is not there."""
_LARGEST = 1232

Script = Callable[[dns.message.Message, bool], bytes | None]
"""From a question, and whether it came over TCP, to the bytes of the answer; None for silence."""


class DnsServer:
    """A context manager. ``queries`` has what was asked, in order: ``"MX far.test udp"``."""

    def __init__(self) -> None:
        self.queries: list[str] = []
        self.secure: set[str] = set()
        self._zone: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self._scripts: dict[tuple[str, str], Script] = {}
        self._tcp, self._udp = _pair()
        self.port: int = self._tcp.getsockname()[1]
        self.peer: tuple[str, int] = ("", 0)
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="dns", daemon=True)

    @property
    def address(self) -> str:
        """As it stands in the settings."""
        return f"127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> Endpoint:
        """The same in parts."""
        return Endpoint(socket.AF_INET, "127.0.0.1", self.port)

    def add(self, name: str, kind: str, *records: str, ttl: int = 300, secure: bool = False) -> None:
        """Let ``name`` have ``records``, in the words of a zone file; instead of those it had."""
        self._zone[name, kind] = (ttl, list(records))
        if secure:
            self.secure.add(name)

    def remove(self, name: str, kind: str) -> None:
        """Let it have none."""
        del self._zone[name, kind]

    def script(self, name: str, kind: str, script: Script) -> None:
        """Let the question be answered by ``script``."""
        self._scripts[name, kind] = script

    def fail(self, name: str, *kinds: str, code: str = "SERVFAIL") -> None:
        """Let the questions be answered by an error."""
        for kind in kinds:
            self.script(name, kind, lambda query, tcp: _error(query, code))

    def hang(self, name: str, *kinds: str) -> None:
        """Let the questions have no answer."""
        for kind in kinds:
            self.script(name, kind, lambda query, tcp: None)

    def send(self, data: bytes) -> None:
        """Send a datagram to who asked last; for scripts that say more than one thing."""
        self._udp.sendto(data, self.peer)

    def asked(self, name: str) -> list[str]:
        """What was asked of ``name``: ``"MX udp"``."""
        words = [query.split() for query in self.queries]
        return [f"{kind} {way}" for kind, asked, way in words if asked == name]

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        """What the zone says."""
        response = dns.message.make_response(query, our_payload=_LARGEST)
        response.flags |= dns.flags.RA
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        name, seen = question.name.to_text(omit_final_dot=True).lower(), set[str]()
        secure = name in self.secure
        while (name, kind) not in self._zone and (name, "CNAME") in self._zone and name not in seen:
            seen.add(name)
            self._put(response, name, "CNAME")
            name = self._zone[name, "CNAME"][1][0].rstrip(".").lower()
            secure = secure and name in self.secure
        if (name, kind) in self._zone:
            self._put(response, name, kind)
        elif name not in seen:
            response.authority.append(dns.rrset.from_text("test.", 600, "IN", "SOA", SOA))
            if not self._exists(name):
                response.set_rcode(dns.rcode.NXDOMAIN)
        if secure and query.flags & dns.flags.AD:
            response.flags |= dns.flags.AD
        else:
            response.flags &= ~dns.flags.AD
        return response

    def _put(self, response: dns.message.Message, name: str, kind: str) -> None:
        ttl, records = self._zone[name, kind]
        response.answer.append(dns.rrset.from_text(name + ".", ttl, "IN", kind, *records))

    def _exists(self, name: str) -> bool:
        return any(known == name or known.endswith("." + name) for known, _ in self._zone)

    def _wire(self, data: bytes, tcp: bool) -> bytes | None:
        try:
            query = dns.message.from_wire(data)
        except dns.exception.DNSException:
            return None
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.queries.append(f"{kind} {name} {'tcp' if tcp else 'udp'}")
        script = self._scripts.get((name, kind))
        return script(query, tcp) if script is not None else to_wire(self.answer(query), tcp)

    def __enter__(self) -> "DnsServer":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for sock in (self._tcp, self._udp, self._wake, self._woken):
            sock.close()

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for sock in (self._udp, self._tcp, self._woken):
                selector.register(sock, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._woken:
                        return
                    if key.fileobj is self._udp:
                        self._serve_datagram()
                    else:
                        self._serve_stream()

    def _serve_datagram(self) -> None:
        data, self.peer = self._udp.recvfrom(65_535)
        wire = self._wire(data, False)
        if wire is not None:
            self.send(wire)

    def _serve_stream(self) -> None:
        connection, _ = self._tcp.accept()
        with connection:
            connection.settimeout(5)
            try:
                length = int.from_bytes(_exactly(connection, 2), "big")
                wire = self._wire(_exactly(connection, length), True)
                if wire is not None:
                    connection.sendall(len(wire).to_bytes(2, "big") + wire)
            except OSError:
                pass  # the one who asked has gone


def to_wire(message: dns.message.Message, tcp: bool) -> bytes:
    """Its bytes; cut short, with TC, where UDP does not hold it."""
    try:
        return message.to_wire(max_size=65_535 if tcp else _LARGEST)
    except dns.exception.TooBig:
        message.flags |= dns.flags.TC
        message.answer, message.authority, message.additional = [], [], []
        return message.to_wire()


def scripted(answers: Iterable[tuple[str, str, str]], *, code: str = "NOERROR") -> Script:
    """A script that answers with the records ``(owner, type, text)``, whatever was asked."""
    records = list(answers)

    def script(query: dns.message.Message, tcp: bool) -> bytes:
        response = dns.message.make_response(query, our_payload=_LARGEST)
        response.set_rcode(dns.rcode.from_text(code))
        for owner, kind, text in records:
            response.answer.append(dns.rrset.from_text(owner, 300, "IN", kind, text))
        return to_wire(response, tcp)

    return script


def _error(query: dns.message.Message, code: str) -> bytes:
    response = dns.message.make_response(query)
    response.set_rcode(dns.rcode.from_text(code))
    return response.to_wire()


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = connection.recv(count - len(data))
        if not piece:
            raise ConnectionError("closed")
        data += piece
    return data


def _pair() -> tuple[socket.socket, socket.socket]:
    """Sockets for TCP and UDP with one port."""
    for _ in range(100):
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(tcp.getsockname())
        except OSError:
            tcp.close()
            udp.close()
        else:
            return tcp, udp
    raise OSError("no port is free for both TCP and UDP")
