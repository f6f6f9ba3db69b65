"""How full a spool is, by what it counts itself."""

from pathlib import Path

from fastsmtp.spool.filter import Filter
from fastsmtp.spool.relay import Defer
from fastsmtp.spool.waiting import RcptState, Waiting
from tests.fakes.post_office import PostOffice, until


def test_how_full_it_is_by_state_over_a_restart(tmp_path: Path) -> None:
    def states() -> tuple[int, int, int, int]:
        load = office.spool.load()
        return load.local, load.fresh, load.deferred, load.held

    office = PostOffice(tmp_path).open()
    ids = [office.submit(b"x", elsewhere=["a@far.test"]) for _ in range(4)]
    office.accepted(*ids, office.submit(b"x", "a@b"))
    assert states() == (1, 4, 0, 0)
    settled: list[object] = []
    waits = Waiting(1.0, False, False, [RcptState(0, 50.0)])
    office.spool.relay.settle([Defer(ids[0], waits), Defer(ids[1], waits)], settled.append)
    until(lambda: bool(settled), each=lambda: office.turn(0.01))
    assert states() == (1, 2, 2, 0)
    for action, found in (("hold", (1, 1, 1, 2)), ("release", (1, 1, 3, 0))):
        changed: list[object] = []
        office.spool.search.apply(
            Filter(ids=(ids[1], ids[2])),
            action,
            b"",
            lambda error, done, to=changed: to.append((error, done)),
        )
        until(lambda to=changed: bool(to), each=lambda: office.turn(0.01))
        assert states() == found
    office.close()
    office = PostOffice(tmp_path).open()
    assert states() == (1, 1, 3, 0)
    office.deliver()
    until(lambda: states()[0] == 0)
    load = office.spool.load()
    assert 0 < load.used < load.most
    assert load.readers > 0
    assert not load.trouble
    office.close()
