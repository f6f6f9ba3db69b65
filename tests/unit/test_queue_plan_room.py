"""Room is counted, and what lingers makes way."""

from fastsmtp.queue.plan.room import PATIENCE, Room, Slot
from fastsmtp.queue.plan.site import Site, SiteLimits

SITE = Site("far.test", SiteLimits(connections=20, per_minute=0), 0.0)


def entered(room: Room, at: float) -> Slot:
    assert room.free(at)
    slot = Slot(SITE, at)
    room.enter(slot)
    return slot


def test_a_full_room_is_free_again_when_one_leaves() -> None:
    room = Room(2, 0)
    first, _ = entered(room, 0), entered(room, 0)
    assert not room.free(1000.0)
    assert room.frees_at() is None, "without spare room nothing but an end helps"
    room.leave(first)
    assert room.free(1000.0)
    assert len(room) == 1


def test_what_lingers_takes_no_others_place_while_there_is_spare_room() -> None:
    room = Room(2, 1)
    first, second = entered(room, 0.0), entered(room, 1.0)
    assert room.frees_at() == PATIENCE
    assert not room.free(PATIENCE - 0.1)
    third = entered(room, PATIENCE)
    assert len(room) == 3
    assert room.frees_at() is None, "the spare room is used up"
    assert not room.free(100.0)
    room.leave(first)
    assert room.frees_at() == 1 + PATIENCE, "the next one may linger now"
    fourth = entered(room, 100.0)
    assert not room.free(100.0)
    for slot in (fourth, third, second):
        room.leave(slot)
    assert len(room) == 0


def test_nothing_is_moved_before_it_is_needed() -> None:
    room = Room(2, 2)
    entered(room, 0.0)
    assert room.free(100.0)
    second = entered(room, 100.0)
    room.leave(second)
    assert room.free(200.0)
    assert room.frees_at() == PATIENCE, "one, and it is still counted"
