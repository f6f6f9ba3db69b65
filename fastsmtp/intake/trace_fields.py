"""The two fields the server puts before a message: Return-Path and Received (RFC 5321 §4.4)."""

import time
from typing import Final

from fastsmtp.mail.envelope import Envelope

LOCAL: Final = "local"
"""The "protocol" of mail that programs of this machine send."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_field(seconds: float) -> str:
    """``seconds`` since 1970 UTC as a date-time of RFC 5322 §3.3."""
    t = time.gmtime(seconds)
    return (
        f"{_DAYS[t.tm_wday]}, {t.tm_mday} {_MONTHS[t.tm_mon - 1]} {t.tm_year} "
        f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02} +0000"
    )


class TraceFields:
    """Makes the fields for messages received by ``hostname``."""

    __slots__ = ("_by", "_date", "_hostname", "_second")

    def __init__(self, hostname: str) -> None:
        self._hostname = hostname
        self._by = f"\r\n\tby {hostname} (fastsmtp) with "
        self._second = -1
        self._date = ""

    def make(self, envelope: Envelope, tls: str = "", hidden: bool = False) -> bytes:
        """``Return-Path`` and ``Received``, each with its CRLF.

        The client's address is a literal (RFC 5321 §4.1.3), "with" names the protocol (RFC 6531 §4.3 for its
        UTF8 forms), and "for" is there only when it discloses no other recipient (RFC 5321 §7.2), which includes
        what an alias stands for. A message without a client's address was made by this server, or by a user of this
        machine whom its ``helo`` tells, when it came by `LOCAL`. ``tls`` says in a comment what the connection was
        protected by; with ``hidden`` nothing is said of the client.
        """
        second = int(envelope.received_at)
        if second != self._second:
            self._second = second
            self._date = f"; {date_field(second)}\r\n"
        ip = envelope.client_ip
        if not ip:  # made here: nobody has brought it
            user = f", from {envelope.helo}" if envelope.protocol == LOCAL else ""
            return (
                f"Return-Path: <{envelope.sender}>\r\n"
                f"Received: by {self._hostname} (fastsmtp{user}) id {envelope.id}{self._date}"
            ).encode()
        if hidden:
            return (
                f"Return-Path: <{envelope.sender}>\r\n"
                f"Received: by {self._hostname} (fastsmtp) with {envelope.protocol} id {envelope.id}{self._date}"
            ).encode()
        literal = f"IPv6:{ip}" if ":" in ip else ip
        recipients = envelope.recipients
        only = (
            f"\r\n\tfor <{recipients[0].original or recipients[0].address}>" if len(recipients) == 1 else ""
        )
        return (
            f"Return-Path: <{envelope.sender}>\r\n"
            f"Received: from {envelope.helo} ([{literal}]){tls}{self._by}{envelope.protocol} id {envelope.id}"
            f"{only}{self._date}"
        ).encode()
