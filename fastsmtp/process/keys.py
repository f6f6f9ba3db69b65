"""Certificates and keys in the master, the only process that opens their files.

What it has read before the first fork the workers inherit. A pair that is replaced goes to each living worker as an
open file in memory beside a message; whoever is forked later inherits that one.
"""

import os
from collections.abc import Callable

from fastsmtp.clock import Clock
from fastsmtp.process.errors import StartError
from fastsmtp.process.messages import Renewal
from fastsmtp.tls.files import Watch, date_notes, read_all
from fastsmtp.tls.pair import CertificateError, date, to_send
from fastsmtp.tls.settings import TlsSettings
from fastsmtp.tls.store import CertificateStore

REMIND = 86_400.0
"""Seconds between two warnings of a certificate's end."""


class KeyKeeper:
    """The master's certificates. Raises `StartError` when one cannot be used."""

    def __init__(self, settings: TlsSettings, clock: Clock, event: Callable[[str], None]) -> None:
        self._clock = clock
        self._event = event
        # Looked at before they are read: what changes in between is found.
        self._watch = Watch(settings)
        pairs, problems = read_all(settings)
        if problems:
            raise StartError(problems[0], os.EX_CONFIG)
        try:
            self.store = CertificateStore(settings, pairs)
        except CertificateError as error:
            raise StartError(f"tls: {error}", os.EX_CONFIG) from None
        self._remind_at = 0.0

    def look(self, *, at_once: bool = False) -> list[Renewal]:
        """Read what has changed; a pair that cannot be used is told once, and the old one stays. ``at_once``: what
        changed a moment ago too."""
        renewals = []
        for number in self._watch.changed(at_once=at_once):
            try:
                pair = self._watch.read(number)
                if pair.pem == self.store.pairs()[number].pem:
                    continue
                self.store.replace(number, pair)
            except CertificateError as error:
                self._event(f"tls.certificates[{number}]: the old certificate stays in use: {error}")
                continue
            facts = pair.facts
            self._event(
                f"tls.certificates[{number}]: new certificate of {facts.subject}, until {date(facts.ends)}, "
                f"SHA-256 {facts.fingerprint}"
            )
            self._remind_at = 0.0
            renewals.append(Renewal(number, to_send(pair)))
        self._remind()
        return renewals

    def _remind(self) -> None:
        if self._clock.monotonic() < self._remind_at:
            return
        self._remind_at = self._clock.monotonic() + REMIND
        for note in date_notes(self.store.pairs(), self._clock.now()):
            self._event(f"WARNING: {note}")
