"""The sending client's side of a session as the rest of the program uses it: compiled, or its plain twin."""

from typing import TYPE_CHECKING

from fastsmtp import _core

if TYPE_CHECKING or not _core.COMPILED:
    from fastsmtp.smtp.outgoing import OutgoingProtocol
    from fastsmtp.smtp.outgoing_body import BodyWriter, is_ascii
else:
    from fastsmtp._core.outgoing import OutgoingProtocol
    from fastsmtp._core.stuff import BodyWriter, is_ascii

__all__ = ["BodyWriter", "OutgoingProtocol", "is_ascii"]
