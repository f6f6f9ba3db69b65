"""What one listener's sessions obey: built once, shared by all of them, read by the dialogue and its twin."""

from dataclasses import dataclass, field
from types import MappingProxyType

from fastsmtp.mail import reply
from fastsmtp.mail.address import Address
from fastsmtp.mail.future_release import HOLDFOR, HOLDUNTIL
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import framing, grammar, limits
from fastsmtp.smtp.extensions import EXTENSIONS, Facts
from fastsmtp.smtp.grammar import ParameterReader
from fastsmtp.smtp.states import Command

BODY_FAULTS = {framing.TOO_BIG: reply.TOO_BIG, framing.BARE_LF: reply.BARE_LF, framing.BARE_CR: reply.BARE_CR}

FOREIGN = (
    *(b"GET ", b"PUT ", b"POST ", b"HEAD ", b"OPTIONS ", b"CONNECT ", b"DELETE ", b"PRI "),
    *(b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"),
)
"""The beginnings of other protocols: HTTP, and the header of a proxy (PROXY protocol 1 and 2) we do not know."""

Parsed = tuple[Address, dict[str, str] | None]


def _merged(tables: list[dict[str, ParameterReader]]) -> MappingProxyType[str, ParameterReader]:
    return MappingProxyType({word: reader for table in tables for word, reader in table.items()})


@dataclass(frozen=True)
class ServerRules:
    """The rules of a server's sessions, of one listener and one stage: before TLS, or under it.

    ``hostname`` as it greets; ``size`` the octets a message may have, 0 for no limit; ``recipients`` of one
    message; ``errors`` a session may make before 421. ``lmtp``: LHLO, and a reply for each recipient (RFC 2033).
    ``secured``: under TLS; ``starttls``: it can be had; ``mechanisms`` of AUTH that are offered;
    ``auth_needs_tls``: some are under TLS. ``gate``: the reply to MAIL of whoever has not authenticated; None: all
    may send. ``xclient``: the client may say for whom it speaks. ``future_release``: what FUTURERELEASE promises,
    empty where it is not offered.
    """

    hostname: str
    size: int
    recipients: int
    errors: int
    lmtp: bool = False
    secured: bool = False
    starttls: bool = False
    mechanisms: tuple[str, ...] = ()
    auth_needs_tls: bool = False
    gate: Reply | None = None
    xclient: bool = False
    future_release: str = ""
    offered: frozenset[Command] = field(init=False)
    """Commands that are known here."""
    line_hard: int = field(init=False)
    """Octets of a command line that are kept in memory."""
    greeting: bytes = field(init=False)
    hello: bytes = field(init=False)
    extended_hello: bytes = field(init=False)
    compiled: object = field(init=False, default=None, compare=False, repr=False)
    """The compiled dialogue's own form of the rules, once it has made one."""
    mail_parameters: MappingProxyType[str, ParameterReader] = field(init=False)
    rcpt_parameters: MappingProxyType[str, ParameterReader] = field(init=False)

    def __post_init__(self) -> None:
        facts = Facts(
            size=self.size,
            recipients=self.recipients,
            secured=self.secured,
            starttls=self.starttls,
            mechanisms=self.mechanisms,
            xclient=self.xclient,
            lmtp=self.lmtp,
            future_release=self.future_release,
        )
        lines = [(extension.line(facts), extension) for extension in EXTENSIONS]
        offers = [line for line, extension in lines if line is not None]
        present = [extension for line, extension in lines if line is not None]
        put = object.__setattr__  # the dataclass is frozen; these follow from the other fields
        put(
            self,
            "greeting",
            Reply(220, "", f"{self.hostname} {'LMTP' if self.lmtp else 'ESMTP'} fastsmtp").wire,
        )
        put(self, "hello", Reply(250, "", self.hostname).wire)
        put(self, "extended_hello", Reply(250, "", self.hostname, *offers).wire)
        put(self, "mail_parameters", _merged([dict(extension.mail) for extension in present]))
        put(self, "rcpt_parameters", _merged([dict(extension.rcpt) for extension in present]))
        put(self, "offered", self._commands())
        put(self, "line_hard", limits.AUTH_LINE if self.mechanisms else limits.LINE_HARD)

    def _commands(self) -> frozenset[Command]:
        known = {command for command in Command if command <= Command.QUIT}
        if self.lmtp:  # RFC 2033 §4.1
            known = known - {Command.HELO, Command.EHLO} | {Command.LHLO}
        if self.starttls or self.secured:
            known.add(Command.STARTTLS)
        if self.mechanisms or self.auth_needs_tls:
            known.add(Command.AUTH)
        if self.xclient:
            known.add(Command.XCLIENT)
        return frozenset(known)

    def line_limit(self, command: Command) -> int:
        """Octets, CRLF included, of the longest line of ``command`` with the parameters that are offered."""
        more = 0
        if command is Command.MAIL:
            more = limits.MAIL_AUTH * bool(self.mechanisms) + limits.MAIL_REQUIRETLS * self.secured
            more += limits.MAIL_FUTURE_RELEASE * bool(self.future_release)
        return limits.line_limit(command) + more

    def read_mail(self, argument: bytes) -> Parsed | Reply:
        """The argument of MAIL: ``FROM:<path> parameters`` (RFC 5321 §4.1.1.2)."""
        text = grammar.decode_line(argument)
        if text is None:
            return reply.NOT_UTF8
        if text[:5].upper() != "FROM:":
            return reply.BAD_SYNTAX
        found = self._read(text[5:], reply.BAD_SENDER_SYNTAX, self.mail_parameters)
        if isinstance(found, Reply):
            return found
        address, parameters = found
        if address.text and not address.domain:
            return reply.BAD_SENDER_SYNTAX
        given = parameters or {}
        if not address.text.isascii() and "SMTPUTF8" not in given:
            return reply.NEEDS_SMTPUTF8  # RFC 6531 §3.5
        if self.size and int(given.get("SIZE", "0")) > self.size:
            return reply.TOO_BIG  # RFC 1870 §6.1
        if HOLDFOR in given and HOLDUNTIL in given:
            return reply.HELD_TWICE
        return found

    def read_rcpt(self, argument: bytes, utf8: bool) -> Parsed | Reply:
        """The argument of RCPT: ``TO:<path> parameters`` (RFC 5321 §4.1.1.3)."""
        text = grammar.decode_line(argument)
        if text is None:
            return reply.NOT_UTF8
        if text[:3].upper() != "TO:":
            return reply.BAD_SYNTAX
        found = self._read(text[3:], reply.BAD_RECIPIENT_SYNTAX, self.rcpt_parameters)
        if isinstance(found, Reply):
            return found
        address = found[0]
        if not address.text:
            return reply.BAD_RECIPIENT_SYNTAX
        if not address.text.isascii() and not utf8:
            return reply.NEEDS_SMTPUTF8
        return found

    def read_auth(self, argument: bytes) -> tuple[str, bytes | None] | Reply:
        """The argument of AUTH: ``mechanism [initial-response]`` (RFC 4954 §4), the latter decoded."""
        if not self.mechanisms:
            return reply.AUTH_NEEDS_TLS
        name, _, text = argument.partition(b" ")
        mechanism = name.decode("ascii").upper()
        if mechanism not in self.mechanisms:
            return reply.AUTH_UNKNOWN if name else reply.BAD_SYNTAX
        text = text.strip(b" ")
        if not text:
            return mechanism, None
        initial = b"" if text == b"=" else grammar.decode_base64(text)
        return reply.AUTH_NOT_BASE64 if initial is None else (mechanism, initial)

    def read_response(self, line: bytes) -> bytes | Reply:
        """The client's next line of an exchange, decoded (RFC 4954 §4)."""
        if line == b"*":
            return reply.AUTH_CANCELLED
        response = grammar.decode_base64(line)
        return reply.AUTH_NOT_BASE64 if response is None else response

    def _read(
        self, argument: str, bad: Reply, readers: MappingProxyType[str, ParameterReader]
    ) -> Parsed | Reply:
        path = grammar.parse_path(argument, bad)
        if isinstance(path, Reply):
            return path
        address, rest = path
        parameters = grammar.parse_parameters(rest, readers) if rest else None
        return parameters if isinstance(parameters, Reply) else (address, parameters)
