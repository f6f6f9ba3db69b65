"""Addresses as values."""

from fastsmtp.mail.address import NULL_SENDER, Address
from fastsmtp.mail.envelope import Envelope, Recipient


def test_values() -> None:
    one = Address("a", "b.test", "a@b.test")
    assert one == Address("a", "b.test", "a@b.test")
    assert hash(one) == hash(Address("a", "b.test", "a@b.test"))
    assert one != Address("a", "b.test", '"a"@b.test')
    assert one != Address("A", "b.test", "a@b.test")
    assert one != Address("a", "B.test", "a@b.test")
    assert one != "a@b.test"
    assert repr(one) == "Address('a', 'b.test', 'a@b.test')"


def test_the_null_sender() -> None:
    assert (NULL_SENDER.local, NULL_SENDER.domain, NULL_SENDER.text) == ("", "", "")


def test_an_envelope_keeps_parameters() -> None:
    recipient = Recipient("a@b.test", "a@b.test", {"NOTIFY": "NEVER"})
    envelope = Envelope("ID", "", [recipient], "::1", "h", "ESMTP", 1.5, {"SIZE": "1"})
    assert envelope.recipients[0].params == {"NOTIFY": "NEVER"}
    assert Recipient("a", "b").params is None
    assert envelope.params == {"SIZE": "1"}
