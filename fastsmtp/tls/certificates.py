"""A certificate with its key, read and looked at before it is used.

Only the process that may read key files calls `read_pair`; what it gives goes to the others as bytes. A private key
is for its owner alone, which is root or who the server was started as.
"""

import hashlib
import itertools
import os
import ssl
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, NameOID

from fastsmtp.config.secrets import is_credential
from fastsmtp.tls.pair import CertificateError, Facts, Pair, load
from fastsmtp.tls.settings import CertificateSettings

LONGEST = 256 * 1024
"""Octets of a file that may be a certificate or a key."""

_WEAK_HASHES = ("md5", "sha1")


def read_pair(settings: CertificateSettings) -> Pair:
    """Read and check both files. Raises `CertificateError`. An expired certificate is none: see `date_problem`."""
    cert, key = Path(settings.cert), Path(settings.key)
    chain = _read(cert, secret=False)
    secret = _read(key, secret=True)
    if b"ENCRYPTED" in secret:
        raise CertificateError(
            f"{key}: the key is encrypted, and a server has nobody to ask; `openssl pkey -in {key}` decrypts it"
        )
    if b"PRIVATE KEY-----" not in secret:
        raise CertificateError(f"{key}: there is no private key in PEM in it")
    pem = secret + b"\n" + chain
    certificates = _certificates(pem, f"{cert}")
    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), pem)
    except ssl.SSLError as error:
        raise CertificateError(_refusal(cert, key, certificates, error)) from None
    _check_chain(cert, certificates)
    return Pair(_facts(certificates[0]), pem)


def read_facts(cert: Path) -> Facts:
    """What the first certificate in a file says, whatever its key. Raises `CertificateError`."""
    return _facts(_certificates(_read(cert, secret=False), f"{cert}")[0])


# --- reading --------------------------------------------------------------------------------------


def _read(path: Path, *, secret: bool) -> bytes:
    try:
        # A pipe in its place must not hold up whoever opens it.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise CertificateError(f"{path}: cannot be read: {error.strerror}") from None
    with open(file, "rb") as stream:
        what = os.fstat(file)
        if not stat.S_ISREG(what.st_mode):
            raise CertificateError(f"{path}: is no file")
        if secret:
            _check_owner(path, what)
        data = stream.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise CertificateError(f"{path}: is longer than a certificate or key can be ({LONGEST // 1024} KiB)")
    return data


def _check_owner(path: Path, what: os.stat_result) -> None:
    """systemd's directory of credentials is nobody else's already, and has modes of its own."""
    if is_credential(str(path)):
        return
    if what.st_uid not in (0, os.geteuid()):
        owner = os.geteuid() or "root"
        raise CertificateError(f"{path}: the key belongs to another user; `chown {owner} {path}` mends it")
    if what.st_mode & 0o077:
        mode = stat.S_IMODE(what.st_mode)
        raise CertificateError(
            f"{path}: others than its owner can read or change the key (mode {mode:04o}); "
            f"`chmod 600 {path}` mends it"
        )


def _certificates(pem: bytes, name: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise CertificateError(f"{name}: there is no certificate in PEM in it that can be read") from None


def _check_chain(cert: Path, certificates: list[x509.Certificate]) -> None:
    """Each certificate is followed by its issuer's (RFC 5246 §7.4.2)."""
    for number, (one, following) in enumerate(itertools.pairwise(certificates), 1):
        if one.issuer != following.subject:
            raise CertificateError(
                f"{cert}: certificate {number + 1} ({following.subject.rfc4514_string()}) is not the issuer of "
                f"certificate {number}; put them in order: the server's first, then its issuer's, and so on"
            )


def _refusal(cert: Path, key: Path, certificates: list[x509.Certificate], error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"{cert}: its first certificate ({_name(certificates[0].subject)}) is not for the key {key}"
    if error.reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
        why = {"EE_KEY_TOO_SMALL": "its key is", "CA_KEY_TOO_SMALL": "an issuer's key is"}.get(
            error.reason, "a signature in it is"
        )
        return f"{cert}: {why} too weak for OpenSSL; have a new one made"
    return f"{cert}, {key}: OpenSSL refuses them: {(error.reason or str(error)).lower().replace('_', ' ')}"


# --- what it says ---------------------------------------------------------------------------------


def _facts(certificate: x509.Certificate) -> Facts:
    der = certificate.public_bytes(Encoding.DER)
    return Facts(
        subject=_name(certificate.subject),
        issuer=_name(certificate.issuer),
        names=_host_names(certificate),
        begins=certificate.not_valid_before_utc.timestamp(),
        ends=certificate.not_valid_after_utc.timestamp(),
        key=_key_text(certificate),
        serial=f"{certificate.serial_number:X}",
        fingerprint=hashlib.sha256(der).hexdigest(),
        end_point=hashlib.new(_binding_hash(certificate), der).digest(),
    )


def _name(name: x509.Name) -> str:
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string() or "no name"


def _host_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names of the extension, or where there is none the common name (RFC 6125 §6.4.4)."""
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
    except x509.ExtensionNotFound:
        names = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    else:
        assert isinstance(extension.value, x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    return tuple(dict.fromkeys(name.lower().rstrip(".") for name in names))


def _key_text(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    others = (
        (ed25519.Ed25519PublicKey, "Ed25519"),
        (ed448.Ed448PublicKey, "Ed448"),
        (dsa.DSAPublicKey, "DSA"),
    )
    return next((text for kind, text in others if isinstance(key, kind)), "unknown")


def _binding_hash(certificate: x509.Certificate) -> str:
    """RFC 5929 §4.1: that of the signature, SHA-256 in place of MD5 and SHA-1, and where it has none of its own."""
    used = certificate.signature_hash_algorithm
    return "sha256" if used is None or used.name in _WEAK_HASHES else used.name
