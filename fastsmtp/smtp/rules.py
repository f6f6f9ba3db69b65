"""What one listener's sessions obey: built once, shared by all of them, read by the dialogue and its twin."""

from dataclasses import dataclass, field
from types import MappingProxyType

from fastsmtp.mail import reply
from fastsmtp.mail.address import Address
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import framing, grammar
from fastsmtp.smtp.extensions import EXTENSIONS, Facts
from fastsmtp.smtp.grammar import ParameterReader

BODY_FAULTS = {framing.TOO_BIG: reply.TOO_BIG, framing.BARE_LF: reply.BARE_LF, framing.BARE_CR: reply.BARE_CR}

Parsed = tuple[Address, dict[str, str] | None]


def _merged(tables: list[dict[str, ParameterReader]]) -> MappingProxyType[str, ParameterReader]:
    return MappingProxyType({word: reader for table in tables for word, reader in table.items()})


@dataclass(frozen=True)
class ServerRules:
    """The rules of a server's sessions.

    ``hostname`` as it greets; ``size`` the octets a message may have, 0 for no limit; ``recipients`` of one
    message; ``errors`` a session may make before 421.
    """

    hostname: str
    size: int
    recipients: int
    errors: int
    greeting: bytes = field(init=False)
    hello: bytes = field(init=False)
    extended_hello: bytes = field(init=False)
    compiled: object = field(init=False, default=None, compare=False, repr=False)
    """The compiled dialogue's own form of the rules, once it has made one."""
    mail_parameters: MappingProxyType[str, ParameterReader] = field(init=False)
    rcpt_parameters: MappingProxyType[str, ParameterReader] = field(init=False)

    def __post_init__(self) -> None:
        facts = Facts(size=self.size, recipients=self.recipients)
        offers = [extension.line(facts) for extension in EXTENSIONS if extension.line is not None]
        put = object.__setattr__  # the dataclass is frozen; these follow from the other fields
        put(self, "greeting", Reply(220, "", f"{self.hostname} ESMTP fastsmtp").wire)
        put(self, "hello", Reply(250, "", self.hostname).wire)
        put(self, "extended_hello", Reply(250, "", self.hostname, *offers).wire)
        put(self, "mail_parameters", _merged([dict(extension.mail) for extension in EXTENSIONS]))
        put(self, "rcpt_parameters", _merged([dict(extension.rcpt) for extension in EXTENSIONS]))

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

    def _read(
        self, argument: str, bad: Reply, readers: MappingProxyType[str, ParameterReader]
    ) -> Parsed | Reply:
        path = grammar.parse_path(argument, bad)
        if isinstance(path, Reply):
            return path
        address, rest = path
        parameters = grammar.parse_parameters(rest, readers) if rest else None
        return parameters if isinstance(parameters, Reply) else (address, parameters)
