"""A message on its way into the spool: one record for its recipients here, one for those elsewhere."""

from typing import Any

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.spool.base import Done
from fastsmtp.spool.changes import BOTH, ONE
from fastsmtp.spool.record import Letter, filed_record, record_parts

_RECORD = 256
"""About the bytes of a record's header and of an envelope with one recipient."""
_RETURN_PATH = b"Return-Path:"


def envelope_size(envelope: Envelope) -> int:
    """About the bytes of a record beside prefix and body, without encoding it. The usual message has one
    recipient and costs a constant."""
    recipients = envelope.recipients
    if len(recipients) == 1 and recipients[0].params is None:
        return _RECORD
    size = _RECORD
    for recipient in recipients:
        size += len(recipient.address) + len(recipient.mailbox) + 8
        if recipient.params is not None:
            size += sum(len(name) + len(value) + 4 for name, value in recipient.params.items())
    return size


class Insert:
    """One message to store; ``filed`` is its content's size when that stands in a file already, with the prefix at
    its start. ``length`` is that of prefix and body, ``size`` about what its records take.

    ``envelope`` is that of the recipients here, ``relay`` that of those elsewhere, None when there are none;
    ``here`` whether there is anybody here.
    """

    __slots__ = ("answered", "body", "done", "envelope", "filed", "here", "length", "prefix", "relay", "size")

    def __init__(
        self, envelope: Envelope, prefix: bytes, body: bytes | bytearray, filed: int | None, done: Done
    ) -> None:
        self.envelope = envelope
        self.prefix = prefix
        self.body = body
        self.filed = filed
        self.done = done
        self.answered = False
        self.here = True
        self.relay: Envelope | None = None
        self.length = filed if filed is not None else len(prefix) + len(body)
        self.size = (0 if filed is not None else self.length) + envelope_size(envelope)
        for recipient in envelope.recipients:
            if not recipient.mailbox:
                self._split()
                break

    def _split(self) -> None:
        envelope = self.envelope
        here = [recipient for recipient in envelope.recipients if recipient.mailbox]
        if not here:
            self.here = False
            self.relay = envelope
            return
        elsewhere = [recipient for recipient in envelope.recipients if not recipient.mailbox]
        self.envelope = _with(envelope, here)
        self.relay = _with(envelope, elsewhere)
        self.size += self.length if self.filed is None else 0

    def filed_record(self) -> tuple[bytes, Letter]:
        """The record for the recipients here when the content is a file, and its letter."""
        assert self.filed is not None
        shared = self.relay is not None
        record = filed_record(self.envelope, self.filed, shared=shared)
        return record, Letter(self.envelope, len(record), self.filed, True, shared=shared)

    def body_count(self) -> bytes:
        """The value of ``body`` for its file."""
        return BOTH if self.here and self.relay is not None else ONE


class RelayRecord:
    """The record of a message for its recipients elsewhere: ``key`` and ``parts`` of its value, and the ``length``
    of the content they get: without Return-Path, which belongs to the final delivery (RFC 5321 §4.4)."""

    __slots__ = ("envelope", "key", "length", "parts")

    def __init__(self, insert: Insert) -> None:
        assert insert.relay is not None
        self.envelope = insert.relay
        self.key = self.envelope.id.encode()
        prefix = insert.prefix
        skip = prefix.find(b"\r\n") + 2 if prefix.startswith(_RETURN_PATH) else 0
        self.length = insert.length - skip
        self.parts: list[Any]
        if insert.filed is not None:
            self.parts = [filed_record(self.envelope, insert.filed, skip=skip)]
        else:
            prefix = prefix[skip:]
            self.parts = [*record_parts(self.envelope, prefix, insert.body), prefix, insert.body]


def _with(envelope: Envelope, recipients: list[Recipient]) -> Envelope:
    return Envelope(
        envelope.id,
        envelope.sender,
        recipients,
        envelope.client_ip,
        envelope.helo,
        envelope.protocol,
        envelope.received_at,
        envelope.params,
    )
