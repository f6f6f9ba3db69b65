"""How a sink is told to behave, and what it counts."""

import pytest

from fastsmtp.loadgen.sinkplan import SinkCounts, SinkPlan, parse_delay, parse_refuse, parse_stage


def test_refusals_are_read() -> None:
    assert parse_refuse("rcpt=550 5.1.1 unknown") == ("rcpt", (550, "5.1.1 unknown"))
    assert parse_refuse("body=451") == ("body", (451, "4.0.0 refused"))
    plan = SinkPlan(refuse=dict([parse_refuse("rcpt=550 5.1.1 unknown")]))
    refusal = plan.refusal("rcpt")
    assert refusal is not None
    assert refusal.wire == b"550 5.1.1 unknown\r\n"
    assert plan.refusal("mail") is None


@pytest.mark.parametrize(
    "text", ["rcpt", "lunch=550", "rcpt=250 fine", "rcpt=hello", "rcpt=550 a\r\nb", "rcpt=550 é", "rcpt="]
)
def test_bad_refusals_say_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"stage|code between|printable|STAGE"):
        parse_refuse(text)


def test_delays_are_read() -> None:
    assert parse_delay("body=0.5") == ("body", 0.5)


@pytest.mark.parametrize("text", ["body=-1", "body=x", "body=nan", "body=9999", "body"])
def test_bad_delays_say_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"delay|STAGE"):
        parse_delay(text)


def test_stages_are_known() -> None:
    assert parse_stage("quit") == "quit"
    with pytest.raises(ValueError, match="stages are connect"):
        parse_stage("tea")


def test_counts_add_up() -> None:
    whole = SinkCounts(messages=1, refused={"rcpt": 2})
    whole.add(SinkCounts(messages=2, octets=5, refused={"rcpt": 1, "mail": 1}, dropped={"data": 3}))
    assert whole == SinkCounts(messages=3, octets=5, refused={"rcpt": 3, "mail": 1}, dropped={"data": 3})
