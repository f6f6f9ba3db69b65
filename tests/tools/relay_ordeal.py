"""A crash test with mail for here and elsewhere: load, mailboxes, and another host that keeps count."""

from collections import Counter
from itertools import pairwise
from typing import Any

from tests.tools import audit
from tests.tools.exchange import Exchange
from tests.tools.load import Load, Mix, Sent
from tests.tools.ordeal import MAILBOXES
from tests.tools.site import Site
from tests.tools.waiting import until

BAD = ("bad@far.test",)
AWAY = ("one@far.test", "two@far.test", "three@other.test", *BAD)
QUEUE = {"retry": ["1s"], "jitter": 0.0}


def relaying(exchange: Exchange, **more: Any) -> dict[str, Any]:
    """Settings of a server whose mail for other hosts all goes to ``exchange``."""
    return {
        "relay": {"networks": ["127.0.0.0/8"]},
        "routes": [{"match": "*", "to": f"127.0.0.1:{exchange.port}"}],
        "queue": QUEUE,
        "spool": {"inline_limit": 16384},
        **more,
    }


class RelayOrdeal:
    """Load on ``server``, until `end` says whether the promise was kept."""

    def __init__(self, server: Site, exchange: Exchange, *, seed: int = 1, **mix: Any) -> None:
        self.server = server
        self.exchange = exchange
        self.sent: list[Sent] = []
        self._mix = Mix(MAILBOXES[:2] + AWAY, **{"large": 100_000, "large_every": 20, **mix})
        self._seed = seed
        self.load = self._new_load()

    def _new_load(self) -> Load:
        self._seed += 1
        return Load(self.server.address, self._mix, sessions=3, seed=self._seed, timeout=30)

    def begin(self) -> None:
        """Send, from now on."""
        self.load.start()

    def progress(self, messages: int, seconds: float = 60) -> None:
        """Return when so many more messages have been accepted."""
        goal = len(self.load.accepted) + messages
        until(f"{messages} more are accepted", lambda: len(self.load.accepted) >= goal, seconds)

    def pause(self) -> None:
        """End the load; `begin` starts another one."""
        self.load.stop()
        self.sent += self.load.sent
        self.load = self._new_load()

    def refused(self) -> list[str]:
        """What was said to messages that were not taken."""
        return [each.refused for each in [*self.sent, *self.load.sent] if each.refused]

    def died(self) -> None:
        """The server, or some of it, was killed: what comes to the exchange now may have come before."""
        self.exchange.life += 1

    def kill_all(self) -> None:
        """kill -9 for all of the server."""
        self.server.kill_all()
        until("its connections are gone", lambda: self.exchange.idle, 60)
        self.died()

    def end(self, seconds: float = 150) -> int:
        """Wait until everything has arrived; what is wrong fails the test. How many messages were accepted."""
        self.exchange.grey = 0.0
        self.pause()
        try:
            until("all has arrived", lambda: not self._lost(), seconds, 0.2)
            until("no body file is left", lambda: not audit.body_files(self.server.data), 60)
        except AssertionError:
            raise AssertionError(f"{self._lost()[:10]}\n{self.server.everything_said()[-3000:]}") from None
        self.server.stop_in_order()
        wrong = self._doubles() + audit.left_behind(self.server.data, self.server.mail)
        assert wrong == [], wrong[:10]
        return sum(bool(each.queue_id) for each in self.sent)

    def _lost(self) -> list[str]:
        """Who lacks what was accepted for him."""
        here = self._here()
        exchange = self.exchange
        lost = []
        for each in self.sent:
            for address in each.mailboxes if each.queue_id else ():
                if address in BAD:
                    there: object = exchange.told.get((each.token, address, "failed"))
                elif address in MAILBOXES:
                    there = here[address, each.digest]
                else:
                    there = exchange.taken.get((each.digest, address))
                if not there:
                    lost.append(f"{each.queue_id} ({each.token}, {each.size} bytes) to {address}")
        return lost

    def _here(self) -> Counter[tuple[str, str]]:
        return audit.standing(self.server.mail)

    def _doubles(self) -> list[str]:
        """Who has something twice, which only a death in between excuses; and what nobody sent."""
        exchange = self.exchange
        known = {(each.digest, address) for each in self.sent for address in each.mailboxes}
        bad = {(each.token, one, "failed") for each in self.sent for one in each.mailboxes if one in BAD}
        wrong = [
            f"{box} has {mark} {times} times" for (box, mark), times in self._here().items() if times > 1
        ]
        for (mark, address), lives in exchange.taken.items():
            if "@" not in mark and (mark, address) not in known:
                wrong.append(f"{mark} came for {address}, and was never sent")
            if any(before == after for before, after in pairwise(lives)):
                wrong.append(f"{mark} came twice for {address}, and nobody died")
        for about, notices in exchange.told.items():
            if about not in bad:
                wrong.append(f"a notice that nobody owed: {about}")
            if len(notices) > 1 + exchange.life:
                wrong.append(f"{len(notices)} notices of {about}")
        return wrong

    def abandon(self) -> None:
        """Leave nothing running, whatever has happened."""
        if self.server.runs:
            self.server.kill()
        print(self.server.everything_said()[-6000:])
        self.load.faults.clear()
        self.load.stop()
        self.exchange.stop()
