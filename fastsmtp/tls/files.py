"""The certificate files as they lie on disk, and when they have changed.

What is looked at is what a path leads to: certbot's `live/NAME/fullchain.pem` is a symbolic link that is made anew.
"""

from collections.abc import Sequence

from fastsmtp.config.signature import Signature, signature
from fastsmtp.tls.certificates import read_pair
from fastsmtp.tls.pair import CertificateError, Pair, date, date_problem
from fastsmtp.tls.settings import TlsSettings

SOON = 7 * 86_400
"""Seconds before its end from which a certificate is warned about."""


def read_all(settings: TlsSettings) -> tuple[list[Pair], list[str]]:
    """The pairs of the settings, and what is wrong with the others, each line beginning with its key."""
    pairs, problems = [], []
    for number, one in enumerate(settings.certificates):
        try:
            pairs.append(read_pair(one))
        except CertificateError as error:
            problems.append(f"tls.certificates[{number}]: {error}")
    return pairs, problems


def date_notes(pairs: Sequence[Pair], now: float) -> list[str]:
    """The certificates that clients refuse for their dates at ``now`` (seconds since 1970), or soon will."""
    notes = []
    for number, pair in enumerate(pairs):
        facts = pair.facts
        why = date_problem(facts, now)
        if why is None and facts.ends - now < SOON:
            why = f"expires on {date(facts.ends)}"
        if why is not None:
            notes.append(f"tls.certificates[{number}]: the certificate of {facts.subject} {why}")
    return notes


def idle_notes(pairs: Sequence[Pair]) -> list[str]:
    """The certificates that no client gets, as those before them are for the same names."""
    notes = []
    taken: set[str] = set()
    for number, pair in enumerate(pairs):
        names = set(pair.facts.names)
        if number and names <= taken:
            notes.append(
                f"tls.certificates[{number}]: no client gets it: others before it have all its names"
            )
        taken |= names
    return notes


class Watch:
    """Looks whether pairs of files have changed. A change counts when it is a look old, so that a certificate and a
    key that are written one after the other are read together."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings.certificates
        self._used = [self._look(number) for number in range(len(self._settings))]
        self._seen = list(self._used)

    def changed(self, *, at_once: bool = False) -> list[int]:
        """The numbers of the pairs that are to be read anew; each change is told once."""
        found = []
        for number, before in enumerate(self._seen):
            now = self._seen[number] = self._look(number)
            if now != self._used[number] and (at_once or now == before):
                self._used[number] = now
                found.append(number)
        return found

    def read(self, number: int) -> Pair:
        """See `read_pair`."""
        return read_pair(self._settings[number])

    def _look(self, number: int) -> tuple[Signature, Signature]:
        one = self._settings[number]
        return signature(one.cert), signature(one.key)
