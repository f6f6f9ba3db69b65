"""What processes count, put together."""

import msgspec

from fastsmtp.loadgen.tally import DISTINCT_ERRORS, OTHER, Counts, Tally


def test_counts_of_several_processes_add_up() -> None:
    whole = Tally()
    for latency in (0.001, 0.003):
        one = Tally()
        one.accepted(latency, 4096, latency * 100)
        one.error("rcpt: 450 busy", 2)
        one.failed = 2
        one.connections = 1
        one.tls = {"TLSv1.3, resumed": 1}
        encoded = msgspec.msgpack.encode(one.counts(final=True))
        whole.add(msgspec.msgpack.decode(encoded, type=Counts))
    assert (whole.sent, whole.failed, whole.octets, whole.connections) == (2, 4, 8192, 2)
    assert whole.seconds == 0.3
    assert whole.errors == {"rcpt: 450 busy": 4}
    assert whole.latency.longest == 0.003
    assert whole.tls == {"TLSv1.3, resumed": 2}
    assert sum(whole.timeline.counts) == 2


def test_texts_that_are_all_different_do_not_grow_without_bound() -> None:
    tally = Tally()
    for number in range(1000):
        tally.error(f"data: 451 {number}")
    assert len(tally.errors) == DISTINCT_ERRORS + 1
    assert tally.errors[OTHER] == 1000 - DISTINCT_ERRORS


def test_in_the_middle_of_a_run_only_the_progress_is_told() -> None:
    tally = Tally()
    tally.accepted(0.1, 10, 0.2)
    counts = tally.counts(final=False)
    assert (counts.sent, counts.final, counts.latency) == (1, False, [])
