"""Whether a server's certificates are the ones its domain names in TLSA records (RFC 6698, RFC 7671, RFC 7672).

Usage 3 needs nothing but hashes. Usage 2 needs signatures; the library for them is loaded when there is one to check.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastsmtp.dns.base import Tlsa
from fastsmtp.dns.names import matches, normal

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

TRUST_ANCHOR = 2
DOMAIN_ISSUED = 3
_FULL, _SPKI = 0, 1
_EXACT = 0
_DIGESTS = {1: hashlib.sha256, 2: hashlib.sha512}
_DEEPEST = 10
"""Certificates of a chain that are looked at."""

_SEQUENCE, _VERSION = 0x30, 0xA0


def usable(records: Sequence[Tlsa]) -> tuple[Tlsa, ...]:
    """Those of ``records`` that a certificate can be held against. Usages 0 and 1 mean nothing for SMTP (RFC 7672
    §3.1.3); of several digests of one thing only the strongest counts (RFC 7671 §9)."""
    usages = (TRUST_ANCHOR, DOMAIN_ISSUED)
    good = [record for record in records if record.usage in usages and _well_formed(record)]
    strongest: dict[tuple[int, int], int] = {}
    for record in good:
        kind = (record.usage, record.selector)
        strongest[kind] = max(strongest.get(kind, _EXACT), record.matching)
    return tuple(
        record for record in good if record.matching in (_EXACT, strongest[record.usage, record.selector])
    )


def check(records: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: float) -> bool:
    """Whether ``chain``, the server's certificates in DER with its own one first, matches one of the ``records`` that
    are usable. Usage 3 asks nothing more, neither of names nor of dates (RFC 7672 §3.1.1); usage 2 that one of
    ``names`` is the certificate's and that no certificate up to the anchor is out of date at ``now``, seconds since
    1970 (RFC 7672 §3.1.2, §3.2.2)."""
    if not chain:
        return False
    chain = chain[:_DEEPEST]
    if any(record.usage == DOMAIN_ISSUED and _match(record, chain[0]) for record in records):
        return True
    anchors = [record for record in records if record.usage == TRUST_ANCHOR]
    if not any(_match(record, der) for record in anchors for der in chain[1:]):
        return False  # before any signature is looked at
    return _leads_to(anchors, chain, names, datetime.fromtimestamp(now, UTC))


def chain_of(connection: Any) -> list[bytes]:
    """The certificates that the server of ``connection``, an `ssl.SSLObject` or `ssl.SSLSocket` after its handshake,
    has sent, in DER. Public from Python 3.13 on, and a private method of the same name before; where neither is
    there, its own certificate alone, which is enough for usage 3."""
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return list(public() or ())
    private = getattr(getattr(connection, "_sslobj", None), "get_unverified_chain", None)
    if private is not None:
        import _ssl  # what the private method gives can only be read with the constants of its own module

        return [certificate.public_bytes(_ssl.ENCODING_DER) for certificate in private() or ()]
    own = connection.getpeercert(binary_form=True)
    return [own] if own else []


def spki(der: bytes) -> bytes | None:
    """The SubjectPublicKeyInfo of the certificate ``der``, byte for byte; None when ``der`` is no certificate."""
    certificate = _inside(der, 0, len(der), _SEQUENCE)
    fields = certificate and _inside(der, certificate[0], certificate[1], _SEQUENCE)
    if not fields:
        return None
    at, end = fields
    # RFC 5280 §4.1: version, serial number, signature, issuer, validity, subject, and then the key.
    skip = 6 if at < end and der[at] == _VERSION else 5
    for _ in range(skip):
        element = _element(der, at, end)
        if element is None:
            return None
        at = element[1]
    key = _element(der, at, end)
    return der[at : key[1]] if key is not None and der[at] == _SEQUENCE else None


def _well_formed(record: Tlsa) -> bool:
    if record.selector not in (_FULL, _SPKI):
        return False
    if record.matching == _EXACT:
        return bool(record.data)
    digest = _DIGESTS.get(record.matching)
    return digest is not None and len(record.data) == digest().digest_size


def _match(record: Tlsa, der: bytes) -> bool:
    data = der if record.selector == _FULL else spki(der)
    if data is None:
        return False
    return record.data == (data if record.matching == _EXACT else _DIGESTS[record.matching](data).digest())


def _leads_to(anchors: Sequence[Tlsa], chain: Sequence[bytes], names: Sequence[str], now: datetime) -> bool:
    """Whether the first certificate is for one of ``names`` and signed, over others of ``chain``, by an anchor."""
    current = _loaded(chain[0])
    if current is None or not any(matches(pattern, name) for pattern in _names_of(current) for name in names):
        return False
    rest = [(certificate, der) for der in chain[1:] if (certificate := _loaded(der)) is not None]
    while _valid(current, now):
        issuer = next((pair for pair in rest if _issued(current, pair[0])), None)
        if issuer is None:
            return False
        if any(_match(record, issuer[1]) for record in anchors):
            return _valid(issuer[0], now)
        rest.remove(issuer)
        current = issuer[0]
    return False


# `cryptography` reads certificates lazily, and has many exceptions for what strangers put into them (versions and
# names it does not know, extensions twice, algorithms it lacks). Each of them means the same: not this certificate.


def _loaded(der: bytes) -> "Certificate | None":
    from cryptography.x509 import load_der_x509_certificate

    try:
        return load_der_x509_certificate(der)
    except Exception:
        return None


def _valid(certificate: "Certificate", now: datetime) -> bool:
    try:
        return certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
    except Exception:
        return False


def _issued(certificate: "Certificate", issuer: "Certificate") -> bool:
    """RFC 5280 §6.1: the names link, the issuer may issue, and its key made the signature."""
    from cryptography.x509 import BasicConstraints

    try:
        if not issuer.extensions.get_extension_for_class(BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(issuer)
    except Exception:
        return False
    return True


def _names_of(certificate: "Certificate") -> list[str]:
    """The names a certificate is for; its subject's common name only without any in the place for them (RFC 7672
    §3.2.3)."""
    from cryptography.x509 import DNSName, ExtensionNotFound, SubjectAlternativeName
    from cryptography.x509.oid import NameOID

    try:
        try:
            place = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
            found = place.get_values_for_type(DNSName)
        except ExtensionNotFound:
            found = []
        if not found:
            common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            found = [str(name.value) for name in common]
    except Exception:
        return []
    return [pattern for text in found if (pattern := _pattern(text)) is not None]


def _pattern(text: str) -> str | None:
    try:
        return "*." + normal(text[2:]) if text.startswith("*.") else normal(text)
    except ValueError:
        return None


def _inside(der: bytes, at: int, end: int, tag: int) -> tuple[int, int] | None:
    """Begin and end of the content of the element at ``at`` when its tag is ``tag``."""
    element = _element(der, at, end)
    return element if element is not None and der[at] == tag else None


def _element(der: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Begin and end of the content of the DER element that begins at ``at`` and ends before ``end``."""
    if at + 2 > end:
        return None
    length, start = der[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or start + count > end:
            return None
        length = int.from_bytes(der[start : start + count], "big")
        start += count
    return (start, start + length) if start + length <= end else None
