"""Events as a server makes them."""

from typing import Any

from fastsmtp.telemetry.events import VERSION, Received


def received(**changed: Any) -> Received:
    """A message that came in."""
    values = {
        "v": VERSION,
        "at": 1_795_498_500.125,
        "worker": 3,
        "pid": 71,
        "id": "0abcdefghijkl",
        "sender": "a@example.org",
        "to": ["b@example.net"],
        "size": 4096,
        "client": "192.0.2.1",
        "helo": "mail.example.org",
        "protocol": "ESMTP",
        **changed,
    }
    return Received(**values)
