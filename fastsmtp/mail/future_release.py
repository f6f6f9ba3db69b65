"""When the sender of a message wants it to go out, as the envelope's parameters say it (RFC 4865).

The server checks the parameters' syntax when it reads them (smtp/extensions/future_release.py); here they get their
meaning.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

HOLDFOR, HOLDUNTIL = "HOLDFOR", "HOLDUNTIL"

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def release_at(params: Mapping[str, str] | None, received_at: float) -> float | None:
    """When a message that came at ``received_at`` with MAIL's ``params`` may go out, both in seconds since 1970 UTC;
    None where its sender has not asked for a time."""
    if params is None:
        return None
    if HOLDFOR in params:
        return received_at + int(params[HOLDFOR])
    return parse_date_time(params[HOLDUNTIL]) if HOLDUNTIL in params else None


def request(params: Mapping[str, str] | None) -> str:
    """What a notification says of the wish (Future-Release-Request), as it came; empty without one."""
    for keyword, word in ((HOLDFOR, "for"), (HOLDUNTIL, "until")):
        if params is not None and keyword in params:
            return f"{word};{params[keyword]}"
    return ""


def without_request(params: Mapping[str, str] | None) -> dict[str, str] | None:
    """The parameters of a message that was held as long as it should be."""
    rest = {key: value for key, value in (params or {}).items() if key not in (HOLDFOR, HOLDUNTIL)}
    return rest or None


def parse_date_time(text: str) -> float | None:
    """A date-time of RFC 3339 §5.6 in seconds since 1970 UTC; None when it is none, or of no day there is."""
    upper = text.upper()
    if not _DATE_TIME.fullmatch(upper):
        return None
    try:
        return datetime.fromisoformat(upper).timestamp()
    except (ValueError, OverflowError):
        return None


def date_time(at: float) -> str:
    """The second of ``at``, in seconds since 1970 UTC, as a date-time of RFC 3339 in UTC."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
