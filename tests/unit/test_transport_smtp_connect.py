"""Happy eyeballs over a network and a clock that the test moves, and the real sockets on the loopback."""

import asyncio
import errno
import socket

import pytest

from fastsmtp.transport.smtp.connect import (
    ADDRESSES,
    STAGGER,
    Connected,
    LoopOpener,
    Race,
    Unreachable,
    interleave,
)
from tests.fakes.network import FakeNetwork

V6, V4, OTHER = "2001:db8::1", "192.0.2.1", "192.0.2.2"
Outcome = Connected | Unreachable


def race(
    net: FakeNetwork, *addresses: str, each: float = 30, total: float = 60
) -> tuple[Race, list[Outcome]]:
    outcomes: list[Outcome] = []
    one = Race(addresses, 25, net, outcomes.append, each=each, total=total)
    one.start()
    assert outcomes == []
    net.pass_by(0)
    return one, outcomes


def test_the_families_take_turns() -> None:
    assert interleave(["a::1", "a::2", "a::3"], ["1.1.1.1"]) == ["a::1", "1.1.1.1", "a::2", "a::3"]
    assert interleave([], ["1.1.1.1", "1.1.1.2"]) == ["1.1.1.1", "1.1.1.2"]
    assert interleave(["a::1"], ["a::1"]) == ["a::1"]
    assert len(interleave([f"a::{n}" for n in range(500)], [])) == ADDRESSES


def test_the_first_address_answers_at_once() -> None:
    net = FakeNetwork()
    _, outcomes = race(net, V6, V4)
    with net.answer(V6) as sock:
        assert outcomes == [Connected(sock, V6, [])]
    net.pass_by(100)
    assert net.tried == [(0, V6)]
    assert net.waiting == 0


def test_the_second_starts_beside_the_first_and_the_loser_is_closed() -> None:
    net = FakeNetwork()
    _, outcomes = race(net, V6, V4, OTHER)
    net.pass_by(STAGGER)
    assert net.tried == [(0, V6), (STAGGER, V4)]
    with net.answer(V4) as sock:
        assert outcomes == [Connected(sock, V4, [])]
    assert net.closed == [V6]
    net.pass_by(100)
    assert len(net.tried) == 2
    assert len(outcomes) == 1


def test_a_failure_starts_the_next_at_once() -> None:
    net = FakeNetwork()
    _, outcomes = race(net, V6, V4, OTHER)
    net.pass_by(0.1)
    net.refuse(V6)
    assert net.tried == [(0, V6), (0.1, V4)]
    net.pass_by(STAGGER)
    assert net.tried[2] == (0.1 + STAGGER, OTHER), "the stagger counts from the latest attempt"
    with net.answer(OTHER) as sock:
        assert outcomes == [Connected(sock, OTHER, [(V6, "Connection refused")])]


def test_all_refuse() -> None:
    net = FakeNetwork({V6: OSError(errno.ENETUNREACH, "")})
    _, outcomes = race(net, V6, V4)
    net.refuse(V4)
    assert outcomes == [Unreachable([(V6, "Network is unreachable"), (V4, "Connection refused")])]
    assert net.waiting == 0


def test_an_address_that_hangs_is_given_up() -> None:
    net = FakeNetwork()
    _, outcomes = race(net, V4, each=5)
    net.pass_by(4.9)
    assert outcomes == []
    net.pass_by(0.1)
    assert outcomes == [Unreachable([(V4, "no connection within 5 s")])]
    assert net.closed == [V4]


def test_all_together_have_so_long_and_no_longer() -> None:
    net = FakeNetwork()
    _, outcomes = race(net, V6, V4, each=30, total=3)
    net.pass_by(3)
    assert outcomes == [Unreachable([(V6, "no connection within 3 s"), (V4, "no connection within 3 s")])]
    assert net.closed == [V6, V4]
    assert net.waiting == 0


def test_no_address_at_all() -> None:
    net = FakeNetwork()
    _, outcomes = race(net)
    assert outcomes == [Unreachable([])]
    assert net.waiting == 0


def test_what_is_cancelled_tells_nobody() -> None:
    net = FakeNetwork()
    one, outcomes = race(net, V6, V4)
    net.pass_by(STAGGER)
    one.cancel()
    net.pass_by(100)
    assert outcomes == []
    assert net.closed == [V6, V4]
    assert net.waiting == 0


# --- the real sockets ------------------------------------------------------------------------------------------


def connect(address: str, port: int, **sources: str) -> Outcome:
    async def run() -> Outcome:
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        Race([address], port, LoopOpener(**sources), done.set_result, each=10, total=10).start()
        return await done

    return asyncio.run(run())


def test_a_real_connection_comes_from_the_chosen_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        outcome = connect("127.0.0.1", server.getsockname()[1], source_v4="127.0.0.9")
        assert isinstance(outcome, Connected)
        with outcome.sock as sock:
            assert sock.getsockname()[0] == "127.0.0.9"
            assert not sock.getblocking()


@pytest.mark.parametrize("sources", [{}, {"source_v4": "127.0.0.1"}])
def test_a_real_refusal(sources: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refuses
        outcome = connect("127.0.0.1", taken.getsockname()[1], **sources)
    assert outcome == Unreachable([("127.0.0.1", "Connection refused")])


def test_a_source_address_that_is_not_ours() -> None:
    outcome = connect("127.0.0.1", 9, source_v4="192.0.2.77")
    assert outcome == Unreachable([("127.0.0.1", "Cannot assign requested address")])
