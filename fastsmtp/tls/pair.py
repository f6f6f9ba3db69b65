"""A certificate with its key as the rest of the server knows it: bytes for OpenSSL, and what it says.

certificates.py makes it from files. Nothing here needs more than the standard library and msgspec, so a worker gets
it from another process without a library for certificates.
"""

import datetime
import errno
import os
import ssl

import msgspec
from msgspec import Struct

_NOEXEC_SEAL = 8
"""MFD_NOEXEC_SEAL, which Python has no name for; before Linux 6.3 it is unknown, and where vm.memfd_noexec is 2 it is
demanded."""


class CertificateError(Exception):
    """A certificate cannot be used; the text says which file, why, and what mends it."""


class Facts(Struct, frozen=True):
    """What a certificate says. Times are seconds since 1970, names in lower case."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    begins: float
    ends: float
    key: str
    serial: str
    fingerprint: str
    """SHA-256 of the certificate, in hexadecimal."""
    end_point: bytes
    """Channel binding ``tls-server-end-point`` (RFC 5929 §4.1)."""


class Pair(Struct, frozen=True):
    """Certificate, issuers and key as one ``pem``, which is not shown when printed."""

    facts: Facts
    pem: bytes

    def __repr__(self) -> str:
        return f"Pair({self.facts.subject!r})"


def in_memory(data: bytes) -> int:
    """An open file in memory with ``data``, which nobody else can open."""
    try:
        file = os.memfd_create("certificate", os.MFD_CLOEXEC | _NOEXEC_SEAL)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        file = os.memfd_create("certificate", os.MFD_CLOEXEC)
    os.fchmod(file, 0o400)
    with open(file, "wb", closefd=False) as stream:
        stream.write(data)
    return file


def to_send(pair: Pair) -> int:
    """An open file with ``pair``, for another process."""
    return in_memory(msgspec.msgpack.encode(pair))


def received(file: int) -> Pair:
    """The pair that `to_send` has put into ``file``, which is closed."""
    try:
        # Several processes read from the same open file: its position is not to be relied on.
        return msgspec.msgpack.decode(os.pread(file, os.fstat(file).st_size, 0), type=Pair)
    finally:
        os.close(file)


def load(context: ssl.SSLContext, pem: bytes) -> None:
    """Have ``context`` use key and certificates of ``pem``. Raises ssl.SSLError. `ssl` loads files only: this one is
    in memory."""
    file = in_memory(pem)
    try:
        # The password keeps OpenSSL from asking at the terminal.
        context.load_cert_chain(f"/proc/self/fd/{file}", password=b"")
    finally:
        os.close(file)


def date_problem(facts: Facts, now: float) -> str | None:
    """Why clients that look at dates refuse the certificate at ``now`` (seconds since 1970), or None."""
    if now >= facts.ends:
        return f"expired on {date(facts.ends)}"
    if now < facts.begins:
        return f"is not valid before {date(facts.begins)}"
    return None


def date(seconds: float) -> str:
    """A day, such as 2026-11-24."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d")
