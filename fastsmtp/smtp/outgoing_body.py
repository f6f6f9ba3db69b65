"""Writes message bodies as DATA and BDAT want them (RFC 5321 §4.5.2, RFC 3030 §2): the plain twin of the compiled
``_core/stuff``, written to be read. Both run under the same tests.
"""

NO_FAULT, BARE_LF, BARE_CR, EIGHT_BIT = 0, 1, 2, 3

_LF, _CR, _DOT = 10, 13, 46


def is_ascii(data: bytes | bytearray | memoryview) -> bool:
    """Whether all octets of ``data`` are below 128."""
    return bytes(data).isascii()


class BodyWriter:
    """Takes a body in pieces cut anywhere; what it gives never holds a bare CR or a bare LF (RFC 5321 §2.3.8).

    ``stuff``: a line that begins with a dot gets another one, and `finish` ends the data. ``convert``: a bare CR and
    a bare LF become CRLF each; without it they are a ``fault``. ``seven``: an octet above 127 is a fault, told
    before any other of its piece. After a fault nothing more is given. ``size`` counts the octets given so far.
    """

    __slots__ = ("_convert", "_cr", "_line", "_seven", "_stuff", "fault", "size")

    def __init__(self, stuff: bool = True, *, convert: bool = False, seven: bool = False) -> None:
        self._stuff = stuff
        self._convert = convert
        self._seven = seven
        self._line = True  # at the beginning of a line
        self._cr = False  # a CR is withheld until it is known what follows
        self.fault = NO_FAULT
        self.size = 0

    def write(self, piece: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
        """What to send for ``piece``. It may be ``piece`` itself: then its memory must stay as it is until sent."""
        out = bytearray()
        if self._seven and not is_ascii(piece):
            self._note(EIGHT_BIT)
        for octet in bytes(piece):
            if self._cr:
                if octet != _LF:
                    self._note(BARE_CR)
                out += b"\r\n"
                self._cr, self._line = False, True
                if octet == _LF:
                    continue
            if octet == _CR:
                self._cr = True
                continue
            if octet == _LF:
                self._note(BARE_LF)
                out += b"\r\n"
                self._line = True
                continue
            if octet == _DOT and self._line and self._stuff:
                out += b"."
            self._line = False
            out.append(octet)
        return self._give(bytes(out))

    def finish(self) -> bytes:
        """What ends the body: CRLF unless a line has just ended, and the dot's line; without stuffing only what
        was withheld."""
        out = b""
        if self._cr:
            self._note(BARE_CR)
            out = b"\r\n"
            self._cr, self._line = False, True
        if self._stuff:
            out += b".\r\n" if self._line else b"\r\n.\r\n"
            self._line = True
        return self._give(out)

    def _note(self, fault: int) -> None:
        if not self.fault and (fault == EIGHT_BIT or not self._convert):
            self.fault = fault

    def _give(self, out: bytes) -> bytes:
        if self.fault:
            return b""
        self.size += len(out)
        return out
