"""The protocol's numbers: what the RFCs guarantee and where we stop (RFC 5321 §4.5.3.1)."""

from fastsmtp.smtp.states import Command

LINE = 512
"""Octets of a command line with its CRLF (RFC 5321 §4.5.3.1.4)."""

LINE_HARD = 2048
"""No command line is kept in memory beyond this."""

AUTH_LINE = 12_288
"""Octets of a line of an AUTH exchange with its CRLF (RFC 4954 §4); where AUTH is offered, so much is kept of any."""

LINE_SKIPPED = 65_536
"""A line that goes on for longer than this without an end closes the connection."""

OUTPUT = 65_536
"""Octets of replies after which a session waits for them to leave before it takes further commands."""

LINES: dict[Command, int] = {
    # SIZE +26 (RFC 1870 §3), BODY +17 (RFC 6152 §2, RFC 3030 §3), SMTPUTF8 +10 (RFC 6531 §3.1),
    # RET and ENVID +122 (RFC 3461 §4.3, §4.4)
    Command.MAIL: LINE + 26 + 17 + 10 + 122,
    # NOTIFY +28, ORCPT +500 (RFC 3461 §4.1, §4.2)
    Command.RCPT: LINE + 28 + 500,
    Command.AUTH: AUTH_LINE,
}
"""Commands whose line may be longer by what the extensions allow them."""

MAIL_AUTH = 500
"""Octets that MAIL may be longer by where AUTH is offered (RFC 4954 §3)."""

MAIL_REQUIRETLS = 11
"""The same where REQUIRETLS is (RFC 8689 §2)."""

MAIL_FUTURE_RELEASE = 34
"""The same where FUTURERELEASE is (RFC 4865 §3)."""

CHUNK_DIGITS = 18
"""Digits of a BDAT chunk size: all values fit in 63 bits."""


def line_limit(command: Command) -> int:
    """Octets, CRLF included, of the longest line of ``command``."""
    return LINES.get(command, LINE)
