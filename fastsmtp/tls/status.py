"""What there is to say of the certificates of the settings, for whoever asks: on disk, and in the running server."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from fastsmtp.tls.certificates import read_facts, read_pair
from fastsmtp.tls.pair import CertificateError, Facts, date_problem
from fastsmtp.tls.settings import TlsSettings
from fastsmtp.tls.store import names_of


class CertificateStatus(Struct, frozen=True):
    """One certificate of the settings. ``problem`` is None when nothing is wrong with it."""

    number: int
    cert: str
    key: str
    facts: Facts | None
    """Of the file, None when it cannot be read."""
    problem: str | None
    answers: tuple[str, ...]
    """The names (SNI) it is chosen for; the first certificate also for all that no other one is for."""
    loaded: Mapping[int, str]
    """The fingerprint that each worker which answers uses, by its slot."""

    @property
    def current(self) -> bool:
        """Whether all workers that answer use what is in the file."""
        return self.facts is not None and set(self.loaded.values()) <= {self.facts.fingerprint}


def status_of(
    settings: TlsSettings, loaded: Mapping[int, Sequence[str]], now: float
) -> list[CertificateStatus]:
    """All certificates of the settings. ``loaded`` is what workers said: by slot the fingerprints in the order of the
    settings they were started with. ``now`` in seconds since 1970."""
    found: list[tuple[Facts | None, str | None]] = []
    for one in settings.certificates:
        try:
            facts = read_facts(Path(one.cert))
        except CertificateError as error:
            found.append((None, str(error)))
            continue
        problem: str | None = None
        try:
            facts = read_pair(one).facts
        except CertificateError as error:
            problem = str(error)
        found.append((facts, problem or date_problem(facts, now)))
    chosen = names_of([facts.names if facts else () for facts, _ in found])
    return [
        CertificateStatus(
            number=number,
            cert=one.cert,
            key=one.key,
            facts=facts,
            problem=problem,
            answers=tuple(name for name, index in chosen.items() if index == number),
            loaded={slot: used[number] for slot, used in loaded.items() if number < len(used)},
        )
        for number, (one, (facts, problem)) in enumerate(zip(settings.certificates, found, strict=True))
    ]
