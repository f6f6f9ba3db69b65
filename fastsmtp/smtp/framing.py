"""Readers of message bodies: DATA's dots (RFC 5321 §4.5.2) and BDAT's chunks (RFC 3030 §2), plain twins of
the compiled ones in ``_core/body``.

A reader always runs to the true end of the body and only then is asked about faults: a line end that is not
CRLF can end no message (so nothing can be smuggled behind it), it makes the message unwelcome.
"""

TOO_BIG, BARE_LF, BARE_CR = 1, 2, 3

_START, _DOT, _DOT_CR, _MIDDLE, _CR = range(5)


class DotReader:
    """Reads up to CRLF.CRLF, removing the dot that stuffs a line. ``limit`` in octets, 0 for none.

    ``fault`` is the first fault seen (TOO_BIG, BARE_LF, BARE_CR) or 0; ``size`` counts the octets of the
    body so far (RFC 1870 §3 counts them without the stuffing); ``ended`` is true after the terminator.
    """

    __slots__ = ("_state", "ended", "fault", "limit", "size")

    def __init__(self, limit: int) -> None:
        self._state = _START
        self.ended = False
        self.fault = 0
        self.limit = limit
        self.size = 0

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """The body bytes found in ``data`` (none once there is a fault) and how much of it was used."""
        out = bytearray()
        state, used = self._state, 0
        for octet in data:
            used += 1
            if state in (_CR, _DOT_CR):
                if octet == 0x0A:
                    if state == _DOT_CR:
                        self.ended = True
                        break
                    out.append(octet)
                    state = _START
                    continue
                if state == _DOT_CR:
                    out.append(0x0D)
                self._note(BARE_CR)
                state = _MIDDLE
            elif state == _START and octet == 0x2E:
                state = _DOT
                continue
            if octet == 0x0D:
                if state == _DOT:
                    state = _DOT_CR
                    continue
                state = _CR
            else:
                if octet == 0x0A:
                    self._note(BARE_LF)
                state = _MIDDLE
            out.append(octet)
        self._state = state
        return self._count(bytes(out)), used

    def _note(self, fault: int) -> None:
        self.fault = self.fault or fault

    def _count(self, piece: bytes) -> bytes:
        self.size += len(piece)
        if self.limit and self.size > self.limit:
            self._note(TOO_BIG)
        return b"" if self.fault else piece


class ChunkReader:
    """Reads the chunks of one message. ``binary``: line ends are the sender's business (RFC 3030 §3).

    `begin` starts a chunk of so many octets; the other attributes are `DotReader`'s, ``ended`` being true when
    the chunk is complete.
    """

    __slots__ = ("_after_cr", "_binary", "ended", "fault", "left", "limit", "size")

    def __init__(self, limit: int, binary: bool) -> None:
        self._after_cr = False
        self._binary = binary
        self.left = 0
        self.ended = True
        self.fault = 0
        self.limit = limit
        self.size = 0

    def begin(self, octets: int) -> None:
        """A chunk of ``octets`` follows. One that would exceed the limit is read, and kept nowhere."""
        self.left = octets
        self.ended = octets == 0
        self.size += octets
        if self.limit and self.size > self.limit:
            self.fault = self.fault or TOO_BIG

    def feed(self, data: bytes) -> tuple[bytes, int]:
        """The body bytes found in ``data`` (none once there is a fault) and how much of it was used."""
        piece = bytes(data[: self.left])
        self.left -= len(piece)
        self.ended = self.left == 0
        if not self._binary and not self.fault:
            for octet in piece:
                if octet == 0x0A and not self._after_cr:
                    self.fault = self.fault or BARE_LF
                elif octet != 0x0A and self._after_cr:
                    self.fault = self.fault or BARE_CR
                self._after_cr = octet == 0x0D
        return (b"" if self.fault else piece), len(piece)

    def finish(self) -> None:
        """The last chunk is complete: a CR still waiting for its LF is a fault."""
        if self._after_cr and not self._binary:
            self.fault = self.fault or BARE_CR
