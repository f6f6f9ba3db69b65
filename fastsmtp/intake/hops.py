"""Counts the Received fields of a message: one that goes in circles gets one more at each turn (RFC 5321 §6.3).

It is done here, on the pieces as they come, and not in the compiled body reader: nearly every message has its blank
line within the octets that so many fields would need at least, and then it costs one search through a kilobyte.
"""

_FIELD = b"\nreceived:"
_BLANK = b"\r\n\r\n"
_SHORTEST = len(b"Received:\r\n")


def may_circle(start: bytes | bytearray, most: int) -> bool:
    """Whether a message that starts like this can have more than ``most`` fields in its header; cheap."""
    room = most * _SHORTEST
    return len(start) > room and not start.startswith(b"\r\n") and start.find(_BLANK, 0, room) < 0


class HopCounter:
    """Fed with all of a message's pieces until ``ended``."""

    __slots__ = ("_tail", "count", "ended")

    def __init__(self) -> None:
        self.count = 0
        """The Received fields so far."""
        self.ended = False
        """Whether the header is over."""
        self._tail = b"\r\n"

    def feed(self, piece: bytes | bytearray) -> None:
        """The next piece, cut wherever it was."""
        data = self._tail + piece
        end = data.find(_BLANK)
        self.ended = end >= 0
        header = data[: end + 2] if self.ended else data
        self.count += header.lower().count(_FIELD)
        self._tail = data[1 - len(_FIELD) :]  # too short to hold a field's beginning that was counted already
