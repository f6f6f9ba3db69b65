"""The sending client's side of a session as the rest of the program uses it."""

from fastsmtp.smtp.outgoing import OutgoingProtocol
from fastsmtp.smtp.outgoing_body import BodyWriter

__all__ = ["BodyWriter", "OutgoingProtocol"]
