"""An AUTH exchange from the client's side: lines, cancelling, and a success that is not believed."""

import base64

import pytest

from fastsmtp.smtp.outgoing_sasl import Exchange


class Scripted:
    """A mechanism that says what it is told to."""

    name = "TEST"

    def __init__(self, *answers: bytes, first: bytes | None = None, proven: bool = True) -> None:
        self.first = first
        self.answers = list(answers)
        self.heard: list[bytes] = []
        self.proven = proven

    def start(self) -> bytes | None:
        return self.first

    def step(self, challenge: bytes) -> bytes | None:
        self.heard.append(challenge)
        if not self.answers:
            raise ValueError("the server goes on for ever")
        return self.answers.pop(0)

    def work(self) -> bytes:
        raise NotImplementedError

    def complete(self) -> bool:
        return self.proven


def line(text: bytes) -> list[bytes]:
    return [b"334 " + base64.b64encode(text)]


def test_an_initial_response_goes_with_the_command() -> None:
    assert Exchange(Scripted(first=b"\0me\0secret")).begin() == b"AUTH TEST AG1lAHNlY3JldA==\r\n"
    assert Exchange(Scripted(first=b"")).begin() == b"AUTH TEST =\r\n"
    assert Exchange(Scripted()).begin() == b"AUTH TEST\r\n"


def test_a_long_initial_response_waits_for_its_turn() -> None:
    mechanism = Scripted(b"next", first=b"x" * 400)
    exchange = Exchange(mechanism)
    assert exchange.begin() == b"AUTH TEST\r\n"
    assert exchange.doubt() is not None, "nothing was proven yet"
    assert exchange.answer([b"334 "]) == base64.b64encode(b"x" * 400) + b"\r\n"
    assert mechanism.heard == []
    assert exchange.answer(line(b"challenge")) == base64.b64encode(b"next") + b"\r\n"
    assert mechanism.heard == [b"challenge"]
    assert exchange.doubt() is None


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        ([b"334 not base64!"], "a challenge is not base64"),
        (line(b"unasked"), "a challenge came where none belongs"),
    ],
)
def test_what_does_not_belong_cancels(reply: list[bytes], why: str) -> None:
    exchange = Exchange(Scripted(first=b"x" * 400))
    exchange.begin()
    assert exchange.answer(reply) == b"*\r\n"
    assert exchange.answer(line(b"more")) == b"*\r\n", "cancelled is cancelled"
    failure = exchange.failure
    assert failure is not None
    assert (failure.status, failure.enhanced, failure.stage, failure.ours) == (
        "deferred",
        "4.7.0",
        "auth",
        True,
    )
    assert failure.text == f"AUTH TEST: {why}"
    assert exchange.doubt() is failure


def test_a_mechanism_s_objection_cancels() -> None:
    exchange = Exchange(Scripted())
    exchange.begin()
    assert exchange.answer(line(b"")) == b"*\r\n"
    assert exchange.failure is not None
    assert "goes on for ever" in exchange.failure.text


def test_success_is_not_believed_before_the_server_has_proven_itself() -> None:
    exchange = Exchange(Scripted(first=b"x", proven=False))
    exchange.begin()
    doubt = exchange.doubt()
    assert doubt is not None
    assert "before the exchange was complete" in doubt.text


class Laborious(Scripted):
    """A mechanism whose second answer takes long."""

    def step(self, challenge: bytes) -> bytes | None:
        self.heard.append(challenge)
        return None


def test_an_answer_that_takes_long_is_worked_for() -> None:
    exchange = Exchange(Laborious())
    exchange.begin()
    assert exchange.answer(line(b"salt")) == b""
    assert exchange.working
    assert exchange.worked(b"proof") == base64.b64encode(b"proof") + b"\r\n"
    assert not exchange.working
    assert exchange.worked(b"proof") == b"", "only once"


def test_a_server_that_does_not_wait_for_it() -> None:
    exchange = Exchange(Laborious())
    exchange.begin()
    exchange.answer(line(b"salt"))
    assert exchange.answer(line(b"more")) == b"*\r\n"
    assert exchange.worked(b"proof") == b""
    assert exchange.doubt() is not None
