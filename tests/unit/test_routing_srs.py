"""Return addresses that lead back, and those that do not."""

from pathlib import Path

import pytest

from fastsmtp.mail.reply import SRS_EXPIRED, SRS_FORGED
from fastsmtp.routing.addresses import split
from fastsmtp.routing.srs import VALID_DAYS, Srs, make_secret, read_secret

NOW = 1_790_000_000.0
DAY = 86_400
SRS = Srs(b"k" * 32, "ours.test")


def forward(local: str, domain: str, now: float = NOW) -> str:
    """The local part of the rewritten sender."""
    made, home = split(SRS.forward(local, domain, now))
    assert home == "ours.test"
    return made


def test_there_and_back() -> None:
    made = forward("Some.One", "X.test")
    assert made.startswith("SRS0=")
    assert made.endswith("=X.test=Some.One")
    assert SRS.reverse(made, NOW) == "Some.One@X.test"
    assert SRS.reverse(made.lower(), NOW) == "some.one@x.test"
    assert SRS.reverse(made.upper(), NOW) == "SOME.ONE@X.TEST"


def test_odd_senders() -> None:
    for local, domain in [
        ("a=b=c", "x.test"),
        ("a b", "x.test"),
        ('a"b\\', "x.test"),
        ("ü", "ü.test"),
        ("a@b", "[192.0.2.1]"),
    ]:
        back = SRS.reverse(forward(local, domain), NOW)
        assert isinstance(back, str)
        assert split(back) == (local, domain)


@pytest.mark.parametrize("days", [-1, 0, 1, VALID_DAYS])
def test_valid_for_some_days(days: int) -> None:
    assert SRS.reverse(forward("a", "x.test"), NOW + days * DAY) == "a@x.test"


@pytest.mark.parametrize("days", [-2, VALID_DAYS + 1, 500, 1022])
def test_too_old(days: int) -> None:
    assert SRS.reverse(forward("a", "x.test"), NOW + days * DAY) is SRS_EXPIRED


@pytest.mark.parametrize(
    "local", ["SRS0=", "SRS0==", "SRS0====", "SRS0=a=b=c=d", "srs0=AAAAAAAA=AA=x.test=a", "SRS1=", "SRS1=a=b==c",
              "SRS0=ä=AA=x=y",
              "SRS1=AAAAAAAA=x.test==AAAA=AA=y.test=a"],
)  # fmt: skip
def test_forged(local: str) -> None:
    assert SRS.reverse(local, NOW) is SRS_FORGED


def test_each_part_is_under_the_code() -> None:
    kind, code, day, domain, user = forward("a", "x.test").split("=")
    for other in [
        (code, day, domain, "b"),
        (code, day, "y.test", user),
        (code, "AA", domain, user),
        (code[::-1], day, domain, user),
        (code[:-1], day, domain, user),
        ("", day, domain, user),
    ]:
        assert SRS.reverse("=".join((kind, *other)), NOW) is SRS_FORGED
    assert Srs(b"l" * 32, "ours.test").reverse("=".join((kind, code, day, domain, user)), NOW) is SRS_FORGED


@pytest.mark.parametrize("local", ["alice", "", "SRS", "SRS0", "srs0+tag", "SRS2=a=b=c=d", "xSRS0=a=b=c=d"])
def test_not_of_this_kind(local: str) -> None:
    assert SRS.reverse(local, NOW) is None


@pytest.mark.parametrize("separator", "=+-")
def test_another_forwarder_s_sender_does_not_grow(separator: str) -> None:
    first = f"SRS0{separator}abcd=XY=x.test=a"
    second = forward(first, "one.test")
    assert second.startswith("SRS1=")
    assert second.endswith(f"=one.test={separator}abcd=XY=x.test=a")
    assert SRS.reverse(second, NOW) == f"{first}@one.test"
    # a third forwarder leads to the first, not to the second
    third = Srs(b"t" * 32, "third.test")
    again = split(third.forward(second, "ours.test", NOW))[0]
    assert again.endswith(f"=one.test={separator}abcd=XY=x.test=a")
    assert third.reverse(again, NOW) == f"{first}@one.test"


def test_what_only_looks_like_another_forwarder_s() -> None:
    for local in ("SRS1=x", "SRS1=a=b", "SRS0", "SRS1=a==-x"):
        assert SRS.reverse(forward(local, "x.test"), NOW) == f"{local}@x.test"


def test_secret(tmp_path: Path) -> None:
    file = tmp_path / "srs.secret"
    assert read_secret(file) is None
    (tmp_path / "srs.secret.new").write_text("left by a crash")
    secret = make_secret(file)
    assert len(secret) == 32
    assert read_secret(file) == secret
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["srs.secret"]
    for text in ("", "abc\n", "0" * 63 + "g\n"):
        file.write_text(text)
        with pytest.raises(ValueError, match="does not hold 64 hexadecimal digits"):
            read_secret(file)
