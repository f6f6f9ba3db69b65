"""What recipients came to: in the log, for senders, in the spool."""

from fastsmtp.mail.envelope import Recipient
from tests.fakes.remote import TAKEN, RemoteWorld


def test_what_one_recipient_came_to_does_not_wait_for_another() -> None:
    world = RemoteWorld().start()
    answers = {"b@far.test": TAKEN, "c@far.test": (451, "4.3.0", "later"), "d@far.test": (550, "5.1.1", "no")}
    world.hosts.say = lambda site, address: answers[address]
    queue_id = world.send(*answers)
    world.run(1)
    assert [one.number for one in world.box.rows[queue_id].rcpts] == [1]
    assert world.teller.notices("failed") == [(queue_id, "d@far.test")]
    answers["c@far.test"] = TAKEN
    world.run(120)
    assert world.hosts.jobs[-1][3] == ("c@far.test",)
    assert not world.box.mails


def test_a_notice_is_stored_before_the_message_is_finished() -> None:
    world = RemoteWorld().start()
    world.teller.refuses = 3
    world.hosts.say = lambda site, address: (550, "5.1.1", "nobody")
    queue_id = world.send("b@far.test")
    assert queue_id in world.box.mails
    world.loop.run(5)
    assert queue_id in world.box.mails, "it is tried again each second"
    world.run(5)
    assert not world.box.mails
    assert world.teller.notices("failed") == [(queue_id, "b@far.test")]
    assert world.teller.originals[0].content == b"Subject: x\r\n\r\nx\r\n"


def test_success_is_told_where_the_next_host_will_not() -> None:
    world = RemoteWorld().start()
    queue_id = world.send(
        Recipient("b@far.test", "", {"NOTIFY": "SUCCESS"}), Recipient("c@far.test", "", None)
    )
    world.run(1)
    assert world.teller.notices("succeeded") == [(queue_id, "b@far.test")]
    assert not world.box.mails
