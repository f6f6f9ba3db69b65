"""One delivery, from the message in the spool to the end of its turn."""

from pathlib import Path

import pytest

from tests.fakes.remote import RemoteWorld


def test_a_large_message_is_sent_from_its_file(tmp_path: Path) -> None:
    world = RemoteWorld().start()
    file = tmp_path / "body"
    file.write_bytes(b"..." + b"large")
    world.box.commit(world.letter("b@far.test"), file)
    world.run(1)
    assert world.hosts.contents == [b"large"]
    assert not world.box.mails


def test_a_message_that_cannot_be_read_waits_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    world = RemoteWorld().start()
    with monkeypatch.context() as patch:

        def broken(queue_id: str) -> None:
            raise OSError("damaged page")

        patch.setattr(world.box, "reading", broken)
        queue_id = world.send("b@far.test")
        world.run(1)
    assert [state.text for state in world.box.rows[queue_id].rcpts] == ["the message cannot be read for now"]
    assert "damaged page" in world.logged()
    other = world.send("c@far.test")
    world.run(100)
    assert sorted(one for one, _ in world.hosts.taken) == sorted([queue_id, other])


def test_a_file_that_is_gone_is_no_reason_to_stand_still(tmp_path: Path) -> None:
    world = RemoteWorld().start()
    file = tmp_path / "body"
    file.write_bytes(b"...large")
    missing = file.rename(tmp_path / "missing")
    world.box.commit(world.letter("b@far.test"), file)
    other = world.send("c@far.test")
    world.run(10)
    assert world.hosts.taken == [(other, "c@far.test")]
    missing.rename(file)
    world.run(100)
    assert world.hosts.contents[-1] == b"large"
    assert not world.box.mails


def test_a_fault_of_ours_ends_one_delivery_and_not_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    world = RemoteWorld().start()
    world.send("a@far.test")
    world.run(1)
    with monkeypatch.context() as patch:

        def fault(way: object) -> None:
            raise ValueError("a fault")

        patch.setattr(world.ways, "place", fault)
        world.send("b@far.test")
        world.run(1)
    assert "internal error at a delivery to mx.far.test: ValueError('a fault')" in world.logged()
    third = world.send("c@far.test")
    world.run(1)
    assert (third, "c@far.test") in world.hosts.taken
