"""What a session needs to know of the settings."""

from msgspec import Struct

from fastsmtp.limits.settings import LimitSettings


class SessionSettings(Struct, frozen=True, kw_only=True):
    """``hostname`` greets and stands in Received; ``banner_delay`` seconds are waited before the banner, and
    a client that talks meanwhile is refused (RFC 5321 §4.3.1)."""

    hostname: str
    limits: LimitSettings
    banner_delay: float = 0
