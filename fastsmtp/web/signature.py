"""How a webhook proves that a request is ours: the headers of the Standard Webhooks convention.

``webhook-signature`` is ``v1,`` and the base64 of HMAC-SHA256 over ``ID.TIMESTAMP.BODY``. The key is the secret's
octets, or what is behind ``whsec_`` in it, base64 undone, as libraries for that convention have it."""

import base64
import binascii
import hashlib
import hmac

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """Raises ValueError for a ``whsec_`` secret that is not base64."""
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("what is behind whsec_ is not base64") from None


def signed(key: bytes, request_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The header fields of a request; ``timestamp`` in seconds since 1970 UTC, so that an old request that somebody
    has kept is known as such."""
    content = b"%b.%d.%b" % (request_id.encode("ascii"), timestamp, body)
    digest = hmac.digest(key, content, hashlib.sha256)
    return {
        "webhook-id": request_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode('ascii')}",
    }
