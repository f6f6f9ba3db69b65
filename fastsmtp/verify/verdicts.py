"""What next hops have answered, for as long as it holds: known recipients, and those that were refused or put off.

The two have room of their own, so that nobody who guesses addresses makes the known ones forgotten.
"""

from collections import OrderedDict

from msgspec import Struct

from fastsmtp.mail.reply import Reply
from fastsmtp.routing.route import Hop
from fastsmtp.routing.settings import VerifySettings

Hops = tuple[Hop, ...]


class Verdict(Struct):
    """An answer of ``hops``, good until ``until`` in monotonic seconds; None: known. From ``again`` on the next hop
    is to be asked once more, while the answer still holds."""

    hops: Hops
    until: float
    answer: Reply | None = None
    again: float = float("inf")


class Verdicts:
    """The answers by recipient, in memory. ``settings`` are those of the moment."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Verdict] = OrderedDict()
        self._others: OrderedDict[str, Verdict] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known) + len(self._others)

    def find(self, recipient: str, hops: Hops, now: float) -> Verdict | None:
        """What holds for ``recipient`` at ``now``, by the hops its mail goes to."""
        for kept in (self._known, self._others):
            verdict = kept.get(recipient)
            if verdict is not None:
                if verdict.hops == hops and now < verdict.until:
                    kept.move_to_end(recipient)
                    return verdict
                del kept[recipient]
        return None

    def know(self, recipient: str, hops: Hops, now: float, settings: VerifySettings) -> None:
        """The next hop takes mail for ``recipient``."""
        self._others.pop(recipient, None)
        verdict = Verdict(hops, now + settings.known, None, now + settings.refresh)
        _put(self._known, recipient, verdict, settings.entries)

    def refuse(self, recipient: str, hops: Hops, now: float, answer: Reply, settings: VerifySettings) -> None:
        """The next hop refuses ``recipient`` with 5xx, or puts it off; the latter changes nothing for a known one."""
        final = answer.code >= 500
        if final:
            self._known.pop(recipient, None)
        elif self.find(recipient, hops, now) is not None:
            return
        until = now + (settings.unknown if final else settings.retry)
        _put(self._others, recipient, Verdict(hops, until, answer), settings.entries)


def _put(kept: OrderedDict[str, Verdict], recipient: str, verdict: Verdict, most: int) -> None:
    kept[recipient] = verdict
    kept.move_to_end(recipient)
    while len(kept) > most:
        kept.popitem(last=False)
