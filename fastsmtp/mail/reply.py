"""SMTP replies as values with names (RFC 5321 §4.2, RFC 3463).

A reply's enhanced status takes its class from the reply code, so the two cannot disagree (RFC 2034 §4).
The texts are constant: what the client said is never repeated back.
"""

import math

_set = object.__setattr__


class Reply:
    """One reply, immutable.

    ``code`` is the three-digit code, ``detail`` the subject and detail of the enhanced status
    (``"1.1"`` of ``5.1.1``; empty for the few replies that carry none), ``text`` its line or lines.
    ``closes`` is true for 221 and 421: the connection ends after it (RFC 5321 §3.8).
    """

    __slots__ = ("closes", "code", "detail", "text", "wire")

    code: int
    detail: str
    text: tuple[str, ...]
    wire: bytes
    closes: bool

    def __init__(self, code: int, detail: str, *text: str) -> None:
        if not 200 <= code <= 599:
            raise ValueError(f"reply code {code} is not between 200 and 599")
        lines = text or ("",)
        prefix = f"{code // 100}.{detail} " if detail else ""
        wire = f"{code} {prefix}{lines[-1]}\r\n"
        if len(lines) > 1:
            wire = "".join(f"{code}-{prefix}{line}\r\n" for line in lines[:-1]) + wire
        _set(self, "code", code)
        _set(self, "detail", detail)
        _set(self, "text", lines)
        _set(self, "wire", wire.encode("ascii"))
        _set(self, "closes", code in (221, 421))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Reply is immutable")

    def __repr__(self) -> str:
        return f"Reply({self.code}, {self.detail!r}, {', '.join(map(repr, self.text))})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reply) and other.wire == self.wire

    def __hash__(self) -> int:
        return hash(self.wire)

    @property
    def status(self) -> str:
        """The enhanced status code, such as ``5.1.1``; empty when the reply carries none."""
        return f"{self.code // 100}.{self.detail}" if self.detail else ""

    @property
    def positive(self) -> bool:
        """Whether the code is 2xx or 3xx."""
        return self.code < 400


# --- accepted ---------------------------------------------------------------------------------
OK = Reply(250, "0.0", "OK")
SENDER_OK = Reply(250, "1.0", "sender OK")
RECIPIENT_OK = Reply(250, "1.5", "recipient OK")
RECIPIENT_AGAIN = Reply(250, "1.5", "recipient OK, named before")
CHUNK_OK = Reply(250, "0.0", "chunk received")
RESET_OK = Reply(250, "0.0", "reset")
BYE = Reply(221, "0.0", "closing the connection")
VRFY_DUNNO = Reply(252, "5.2", "not verified; send the mail and see")
HELP_TEXT = Reply(
    214,
    "0.0",
    "Commands: HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT",
    "See RFC 5321",
)
SEND_DATA = Reply(354, "", "end with <CRLF>.<CRLF>")
READY_FOR_TLS = Reply(220, "0.0", "ready to start TLS")
AUTHENTICATED = Reply(235, "7.0", "authenticated")

# --- the client's mistakes: RFC 5321 §4.2.2, RFC 3463 §3.6 ------------------------------------
UNKNOWN_COMMAND = Reply(500, "5.2", "command not recognised")
LINE_TOO_LONG = Reply(500, "5.2", "line too long")
NUL_IN_COMMAND = Reply(500, "5.2", "NUL in a command")
BARE_LINE_END = Reply(500, "5.2", "a command line ends with CRLF, and holds no other CR or LF")
EIGHT_BIT_COMMAND = Reply(500, "5.2", "8-bit bytes in a command need SMTPUTF8")
BAD_SYNTAX = Reply(501, "5.4", "syntax error in parameters")
NO_PARAMETERS = Reply(501, "5.4", "this command takes no parameters")
HELLO_NEEDS_NAME = Reply(501, "5.4", "say who you are: a domain or an address literal")
BAD_SENDER_SYNTAX = Reply(501, "1.7", "sender address is malformed")
BAD_RECIPIENT_SYNTAX = Reply(501, "1.3", "recipient address is malformed")
BAD_PARAMETER_VALUE = Reply(501, "5.4", "parameter has a bad value")
BAD_CHUNK_SIZE = Reply(501, "5.4", "BDAT needs the size of the chunk in octets")
PARAMETER_TWICE = Reply(501, "5.4", "parameter given twice")
UNKNOWN_PARAMETER = Reply(555, "5.4", "parameter not recognised")
# RFC 4865
HELD_TWICE = Reply(501, "5.4", "HOLDFOR or HOLDUNTIL, not both")
HELD_TOO_LONG = Reply(554, "5.4", "mail is not kept for so long, see FUTURERELEASE in EHLO")
NEED_HELLO = Reply(503, "5.1", "EHLO or HELO first")
NEED_MAIL = Reply(503, "5.1", "MAIL first")
NEED_RCPT = Reply(503, "5.1", "RCPT first")
NESTED_MAIL = Reply(503, "5.1", "a sender is already given")
IN_BDAT = Reply(503, "5.1", "finish the chunks with BDAT LAST, or RSET")
DATA_AFTER_BDAT = Reply(503, "5.1", "DATA cannot follow BDAT")
DATA_NEEDS_BDAT = Reply(503, "5.1", "BODY=BINARYMIME needs BDAT")
NO_VALID_RECIPIENTS = Reply(554, "5.1", "no valid recipients")
TOO_MANY_RECIPIENTS = Reply(452, "5.3", "too many recipients")
NEEDS_SMTPUTF8 = Reply(553, "6.7", "a non-ASCII address needs SMTPUTF8")
NOT_UTF8 = Reply(501, "6.7", "address is not valid UTF-8")
TOO_MANY_ERRORS = Reply(421, "7.0", "too many errors")
NOT_IN_TRANSACTION = Reply(503, "5.1", "not in a transaction")
TLS_ACTIVE = Reply(503, "5.1", "TLS is active already")
AUTH_TWICE = Reply(503, "5.1", "authenticated already")
# RFC 4954 §4, §6
AUTH_UNKNOWN = Reply(504, "5.4", "this mechanism is not offered")
AUTH_NOT_BASE64 = Reply(501, "5.2", "not base64")
AUTH_CANCELLED = Reply(501, "7.0", "authentication cancelled")
AUTH_TOO_LONG = Reply(500, "5.6", "authentication exchange line is too long")
NOT_SMTP = Reply(554, "5.1", "this is an SMTP port")
EARLY_TALK = Reply(554, "5.1", "talked before the banner")

# --- logging in: RFC 4954 §6 ------------------------------------------------------------------
AUTH_MALFORMED = Reply(501, "5.2", "this is not what the mechanism asks for")
AUTH_REFUSED = Reply(535, "7.8", "name, password or token is wrong")
AUTH_UNAVAILABLE = Reply(454, "7.0", "logins cannot be checked now, try later")

# --- content ----------------------------------------------------------------------------------
TOO_BIG = Reply(552, "3.4", "message exceeds the size limit")
BARE_LF = Reply(554, "6.0", "message has a bare LF; lines end with CRLF (RFC 5321 2.3.8)")
BARE_CR = Reply(554, "6.0", "message has a bare CR; lines end with CRLF (RFC 5321 2.3.8)")
TOO_MANY_HOPS = Reply(554, "4.6", "too many Received fields, the message goes in circles")

# --- policy and mailboxes ---------------------------------------------------------------------
MAILBOX_UNKNOWN = Reply(550, "1.1", "no such mailbox here")
NEED_TLS = Reply(530, "7.0", "STARTTLS first")  # RFC 3207 §4
NEED_AUTH = Reply(530, "7.0", "authentication required")  # RFC 4954 §6
AUTH_NEEDS_TLS = Reply(538, "7.11", "authentication is taken under TLS only, STARTTLS first")
NOT_YOUR_ADDRESS = Reply(553, "7.1", "this account may not send as this address")
# RFC 3463 §3.3
MAILBOX_FULL = Reply(452, "2.2", "mailbox is full, try later")
MAILBOX_OVER_QUOTA = Reply(552, "2.2", "mailbox is full")
RELAY_DENIED = Reply(550, "7.1", "not our domain, and you may not relay")
# RFC 3463 §3.2 keeps X.1.1 for what is permanent; §3.5: who should know the recipient cannot be asked
CANNOT_VERIFY = Reply(450, "4.3", "this recipient cannot be verified now, try later")
ALIAS_LOOP = Reply(554, "4.6", "this alias goes in circles")
ALIAS_TOO_LARGE = Reply(554, "5.3", "this alias stands for too many recipients")
SRS_FORGED = Reply(550, "7.1", "this return address was not made here")
SRS_EXPIRED = Reply(550, "7.1", "this return address is too old")

# --- our own trouble --------------------------------------------------------------------------
SHUTTING_DOWN = Reply(421, "3.2", "shutting down")
TOO_MANY_CONNECTIONS = Reply(421, "3.2", "too many connections")
TOO_MANY_FROM_HOST = Reply(421, "7.0", "too many connections from your address")
TIMEOUT = Reply(421, "4.2", "timeout")
SPOOL_FULL = Reply(452, "3.1", "out of storage, try later")
DISK_LOW = Reply(452, "3.1", "short of disk space, try later")
MEMORY_LOW = Reply(452, "3.1", "short of memory, try later")
QUEUE_FULL = Reply(452, "3.1", "too much mail waits here, try later")
NO_ROOM_FOR_SIZE = Reply(452, "3.1", "no room for a message of this size now, try later")
SPOOL_FAILED = Reply(451, "3.0", "storage error, try later")
LOCAL_ERROR = Reply(451, "3.0", "local error, try later")


def queued_as(queue_id: str) -> Reply:
    """The promise: the message is on stable storage and this server's to deliver."""
    text = f"queued as {queue_id}"
    made = Reply.__new__(Reply)  # one for each message: made without what the general way has to look at
    _set(made, "code", 250)
    _set(made, "detail", "0.0")
    _set(made, "text", (text,))
    _set(made, "wire", f"250 2.0.0 {text}\r\n".encode("ascii"))
    _set(made, "closes", False)
    return made


def limited(code: int, detail: str, what: str, seconds: float) -> Reply:
    """Too many of ``what``, which names what is counted and for whom; the client may come back in ``seconds``."""
    return Reply(code, detail, f"too many {what}, come back in {max(1, math.ceil(seconds))} seconds")
