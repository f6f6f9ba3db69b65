"""Room is counted, and what lingers makes way."""

from fastsmtp.queue.plan.room import PATIENCE, Room, Slot
from fastsmtp.queue.plan.site import Site, SiteLimits

LIMITS = SiteLimits(connections=20, per_minute=0)
SITE = Site("quick.test", LIMITS, 0.0)


def entered(room: Room, at: float, site: Site = SITE) -> Slot:
    assert room.free
    slot = Slot(site, at)
    room.enter(slot)
    return slot


def test_a_full_room_is_free_again_when_one_leaves() -> None:
    room = Room(2, spare=0, slow=0)
    first, _ = entered(room, 0), entered(room, 0)
    assert not room.free
    assert room.make_way(1000.0) == []
    assert room.frees_at() is None, "without spare room nothing but an end helps"
    room.leave(first)
    assert room.free
    assert len(room) == 1


def test_what_lingers_makes_way_while_there_is_spare_room() -> None:
    room, site = Room(2, spare=1, slow=0), Site("far.test", LIMITS, 0.0)
    first, second = entered(room, 0.0, site), entered(room, 1.0)
    assert room.frees_at() == PATIENCE
    assert room.make_way(PATIENCE - 0.1) == []
    assert room.make_way(100.0) == [first], "the oldest"
    assert (site.slow, SITE.slow) == (True, False)
    third = entered(room, PATIENCE)
    assert len(room) == 3
    assert room.frees_at() is None, "the spare room is used up"
    assert room.make_way(100.0) == []
    room.leave(first)
    assert room.frees_at() == 1 + PATIENCE, "the next one may linger now"
    for slot in (third, second):
        room.leave(slot)
    assert len(room) == 0


def test_slow_sites_have_a_share_of_their_own() -> None:
    room, slow = Room(4, spare=4, slow=1), Site("slow.test", LIMITS, 0.0)
    slow.slow = True
    assert room.free_for_slow
    first = entered(room, 0.0, slow)
    assert not room.free_for_slow
    assert room.frees_at() is None, "it takes nobody's place"
    assert room.half_empty
    entered(room, 0.0, slow)
    entered(room, 0.0, slow)
    assert not room.half_empty, "these two do"
    assert len(room) == 3
    room.leave(first)
    assert room.free_for_slow
