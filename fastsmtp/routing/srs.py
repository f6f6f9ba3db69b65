"""Senders of mail that is forwarded to other hosts (the Sender Rewriting Scheme).

A host that checks SPF (RFC 7208 appendix D) refuses mail that we send under a stranger's domain. So the sender
becomes an address of ours that holds the old one, the day, and a code only this server can make:
``SRS0=CODE=DAY=domain=local@ours``. A sender that another forwarder has rewritten already becomes
``SRS1=CODE=first-forwarder=REST@ours``, which leads back to the first one without growing at each hop. Bounces to
such an address are sent on to the sender it holds, for `VALID_DAYS`; to nobody else, or we were an open relay.

Case is changed by some hosts on the way, so the code does not depend on it and is written in base 32.
"""

import hmac
import os
import re
import secrets
from base64 import b32encode
from pathlib import Path

from fastsmtp.mail.reply import SRS_EXPIRED, SRS_FORGED, Reply
from fastsmtp.routing.addresses import spell
from fastsmtp.smtp.grammar import parse_mailbox

VALID_DAYS = 21
"""How long a bounce may come back: longer than any host tries to deliver."""
SECRET_FILE = "srs.secret"  # noqa: S105 - its name, not what is in it
_DAY = 86_400
_DAYS = 1024  # what two digits of base 32 tell apart
_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CODE = 8  # digits of 5 bits
_SECRET = re.compile(rb"[0-9a-f]{64}\n")
_OTHERS_FIRST = re.compile(r"SRS0(?P<rest>[-+=].+)", re.IGNORECASE | re.DOTALL)
_OTHERS_SECOND = re.compile(r"SRS1[-+=][^=]+=(?P<host>[^=]+)=(?P<rest>[-+=].+)", re.IGNORECASE | re.DOTALL)


class Srs:
    """``secret`` makes the codes, ``domain`` is ours."""

    def __init__(self, secret: bytes, domain: str) -> None:
        self._secret = secret
        self.domain = domain

    def forward(self, local: str, domain: str, now: float) -> str:
        """The sender that stands for ``local@domain`` on its way on; ``now`` in seconds since 1970 UTC."""
        first = _OTHERS_FIRST.fullmatch(local)
        if first is not None:
            return self._second(domain, first["rest"])
        second = _OTHERS_SECOND.fullmatch(local)
        if second is not None:
            return self._second(second["host"], second["rest"])
        high, low = divmod(int(now // _DAY) % _DAYS, 32)
        day = _DIGITS[high] + _DIGITS[low]
        return spell(f"SRS0={self._code(day, domain, local)}={day}={domain}={local}", self.domain)

    def reverse(self, local: str, now: float) -> str | Reply | None:
        """The sender whom mail for ``local@`` our domain is for, the reply when we did not make that address or
        it is too old, None when it is none of this kind."""
        kind, equals, rest = local.partition("=")
        kind = kind.upper() + equals
        if kind == "SRS0=":
            code, day, domain, user = _split(rest, 4)
            if not self._made(code, day, domain, user):
                return SRS_FORGED
            age = int(now // _DAY) - _number(day)
            # A day ahead is allowed: two clocks, or one that was set.
            if (age + 1) % _DAYS > VALID_DAYS + 1:
                return SRS_EXPIRED
            found = spell(user, domain)
        elif kind == "SRS1=":
            code, host, rest = _split(rest, 3)
            if not self._made(code, host, rest):
                return SRS_FORGED
            found = spell(f"SRS0{rest}", host)
        else:
            return None
        return found if parse_mailbox(found) is not None else SRS_FORGED

    def _second(self, host: str, rest: str) -> str:
        return spell(f"SRS1={self._code(host, rest)}={host}={rest}", self.domain)

    def _code(self, *parts: str) -> str:
        text = "\0".join(parts).lower().encode("utf-8", "surrogateescape")
        return b32encode(hmac.digest(self._secret, text, "sha256"))[:_CODE].decode("ascii")

    def _made(self, code: str, *parts: str) -> bool:
        return all(parts) and hmac.compare_digest(
            code.upper().encode("utf-8", "surrogateescape"), self._code(*parts).encode("ascii")
        )


def _split(text: str, count: int) -> list[str]:
    """``count`` parts of ``text`` between ``=``; empty ones for what is missing."""
    parts = text.split("=", count - 1)
    return parts + [""] * (count - len(parts))


def _number(day: str) -> int:
    """The number that two digits stand for; they are ours, as the code has shown."""
    return _DIGITS.index(day[0].upper()) * 32 + _DIGITS.index(day[1].upper())


def read_secret(file: Path) -> bytes | None:
    """The secret in ``file``, None when there is no such file. Raises OSError, and ValueError when it holds none."""
    try:
        text = file.read_bytes()
    except FileNotFoundError:
        return None
    if not _SECRET.fullmatch(text):
        raise ValueError(
            f"{file} does not hold 64 hexadecimal digits; put the file back, or remove it to have a new one made: "
            "bounces of what was forwarded before will be refused"
        )
    return bytes.fromhex(text.decode("ascii"))


def make_secret(file: Path) -> bytes:
    """A new secret, kept in ``file``, which only its owner can read. Whole and durable, or not there. Raises
    OSError."""
    secret = secrets.token_bytes(32)
    new = file.with_name(f"{file.name}.new")
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, secret.hex().encode("ascii") + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    new.rename(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return secret
