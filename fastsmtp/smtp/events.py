"""What happened in a client's session."""

from enum import IntEnum


class Event(IntEnum):
    """What the driver of a `ClientProtocol` must look at after each call."""

    NOTHING = 0
    READY = 1
    SENT = 2
    REFUSED = 3
    OVER = 4
