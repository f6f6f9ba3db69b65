"""kill -9 and stops of the real program while it relays: everything arrives, or its sender hears of it; twice only
what was on its way when somebody died."""

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.server import settings_text
from tests.tools.exchange import Exchange
from tests.tools.relay_ordeal import RelayOrdeal, relaying
from tests.tools.site import Site

pytestmark = pytest.mark.slow

Begin = Callable[..., RelayOrdeal]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Starts a server, an exchange and the load."""
    made: list[RelayOrdeal] = []

    def begin(rest: float = 0.0, **settings: Any) -> RelayOrdeal:
        exchange = Exchange()
        exchange.start()
        site = Site(tmp_path, **{"workers": 2, **relaying(exchange, **settings)})
        ordeal = RelayOrdeal(site, exchange, rest=rest)
        made.append(ordeal)
        ordeal.server.start()
        ordeal.begin()
        return ordeal

    yield begin
    for ordeal in made:
        ordeal.abandon()


def test_whole_group(begin: Begin) -> None:
    ordeal = begin()
    for number in range(5):
        ordeal.progress(random.Random(number).randint(20, 150))
        ordeal.kill_all()
        ordeal.server.start()
    ordeal.progress(30)
    assert ordeal.end() > 150


def test_while_the_other_host_is_down(begin: Begin) -> None:
    """It goes away, mail is sent, everything dies again and again; it comes back: everything arrives, once."""
    ordeal = begin()
    ordeal.progress(50)
    ordeal.exchange.stop()
    for number in range(3):
        ordeal.progress(random.Random(number).randint(50, 150))
        ordeal.kill_all()
        ordeal.server.start()
    ordeal.progress(30)
    ordeal.exchange.start()
    assert ordeal.end() > 200


def test_a_worker_at_a_time(begin: Begin) -> None:
    """Its sibling adopts the shard meanwhile, and delivers from it."""
    ordeal = begin()
    for number in range(4):
        ordeal.progress(random.Random(number).randint(20, 100))
        ordeal.died()
        ordeal.server.kill_worker(number)
        ordeal.died()
    ordeal.progress(50)
    assert ordeal.server.runs
    assert ordeal.end() > 150


def test_stopped_in_order_again_and_again(begin: Begin) -> None:
    """SIGTERM in the midst of it: nothing comes twice at all."""
    ordeal = begin()
    for _ in range(4):
        ordeal.progress(60)
        ordeal.server.stop_in_order()
        ordeal.server.start()
    ordeal.progress(30)
    assert ordeal.end() > 200


def test_routes_that_change_under_load(begin: Begin) -> None:
    """Mail on its way goes where the routes lead by then; generations that follow each other disturb nothing. No more
    comes than the other host takes in that time."""
    ordeal = begin(rest=0.03)
    here = ordeal.server.settings["routes"]
    nowhere = [{"match": "far.test", "to": "127.0.0.1:1"}]
    for turn in range(1, 4):
        ordeal.progress(40)
        routes = here + (nowhere if turn % 2 else [])
        ordeal.server.file.write_text(settings_text({**ordeal.server.settings, "routes": routes}))
        ordeal.server.running.send_signal(signal.SIGHUP)
        ordeal.server.wait_log(f"generation {turn + 1} serves")
    ordeal.server.file.write_text(settings_text(ordeal.server.settings))
    assert ordeal.end() > 100
