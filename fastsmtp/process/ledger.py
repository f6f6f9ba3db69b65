"""A worker's part of the ledger."""

import functools

from fastsmtp.clock import Clock
from fastsmtp.ledger.format import DIRECTORY
from fastsmtp.ledger.keeper import LedgerKeeper
from fastsmtp.ledger.writer import LedgerWriter
from fastsmtp.process.settings import Settings
from fastsmtp.telemetry.maillog import MailLog

ROOM = 2
"""How much more than what mail is refused for the ledger leaves free: history goes before mail does."""


def keep_ledger(settings: Settings, log: MailLog, clock: Clock) -> LedgerKeeper | None:
    """From now on what is told to ``log`` goes into the ledger too, until the process ends; None when the settings
    want none. Whoever gets a keeper stops it."""
    if not settings.ledger.enabled:
        return None
    writer = LedgerWriter()
    keeper = LedgerKeeper(
        settings.data_dir / DIRECTORY,
        settings.ledger,
        writer,
        clock=clock,
        event=log.event,
        lost=functools.partial(log.lost, "ledger"),
        room=ROOM * settings.pressure.disk_free,
    )
    keeper.start()
    log.attach(writer)
    return keeper
