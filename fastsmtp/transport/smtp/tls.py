"""TLS towards other servers: what is asked of the handshake, and what the peer showed.

No version below 1.2 is spoken (RFC 8996). Whether a certificate is looked at is the policy's matter: in opportunistic
TLS any will do, since the clear text that would be the alternative is worse (RFC 7435).
"""

import ssl


class Contexts:
    """The contexts of one process, made when first asked for. ``ca_file``: the authorities to believe, in PEM,
    instead of the system's; empty for those."""

    def __init__(self, ca_file: str = "") -> None:
        self._ca_file = ca_file
        self._any: ssl.SSLContext | None = None
        self._verifying: ssl.SSLContext | None = None

    def any_certificate(self) -> ssl.SSLContext:
        """Encrypts, and believes every certificate: for opportunistic TLS, and for DANE, which looks itself."""
        if self._any is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._any = context
        return self._any

    def verifying(self) -> ssl.SSLContext:
        """Asks for a certificate by a known authority for the name that is given with the handshake. Raises OSError
        when the file of authorities cannot be read."""
        if self._verifying is None:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=self._ca_file or None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._verifying = context
        return self._verifying


def reason_of(error: BaseException) -> str:
    """Why a handshake failed, in a few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate: {error.verify_message}"
    word = getattr(error, "reason", None)
    if isinstance(error, ssl.SSLError) and word:
        return str(word).lower().replace("_", " ")
    if isinstance(error, TimeoutError):
        return "no handshake in time"
    if isinstance(error, ConnectionError | EOFError):
        return "connection closed in the handshake"
    return str(error) or type(error).__name__
