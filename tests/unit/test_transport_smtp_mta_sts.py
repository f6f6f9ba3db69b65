"""MTA-STS: records, policies, and how long they are believed."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from fastsmtp.transport.smtp import mta_sts
from fastsmtp.transport.smtp.mta_sts import (
    CHECKED_EVERY,
    FetchError,
    PolicyFiles,
    Stored,
    StsPolicies,
    StsPolicy,
    read_policy,
    read_record,
)
from fastsmtp.transport.smtp.tls_report import Failure, TlsReport
from tests.fakes.clock import FakeClock
from tests.fakes.resolver import FakeResolver

DAY = 86_400
POLICY = StsPolicy("enforce", ("mx.far.test", "*.far.test"), 7 * DAY)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([b"v=STSv1; id=20260101T00;"], b"20260101T00"),
        ([b"v=STSv1;id=1"], b"1"),
        ([b"v=STSv1 ;\tid=1 ; more=x;"], b"1"),
        ([b"v=STSv1; new=x; id=1;"], b"1"),
        ([b"v=spf1 -all", b"v=STSv1; id=1;", b"\xff"], b"1"),
        ([], None),
        ([b""], None),
        ([b"v=STSv1"], None),
        ([b"v=STSv1;"], None),
        ([b"v=STSv1; id=;"], None),
        ([b"v=STSv1; id=a-b;"], None),
        ([b"v=STSv1; id=" + b"1" * 33], None),
        ([b"v=STSv2; id=1;"], None),
        ([b"id=1; v=STSv1;"], None),
        ([b"v=STSv1; id=1;", b"v=STSv1; id=2;"], None),
        ([b"v=STSv1; id=1\nx;"], None),
    ],
)
def test_records(texts: list[bytes], expected: bytes | None) -> None:
    assert read_record(tuple(texts)) == expected


GOOD = "version: STSv1\r\nmode: enforce\r\nmx: mx.far.test\r\nmx: *.far.test\r\nmax_age: 604800\r\n"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("\r\n", "\n"),
        GOOD.removesuffix("\r\n"),
        GOOD + "\r\n\r\n",
        GOOD.replace(": ", ":"),
        GOOD.replace(": ", ": \t"),
        GOOD + "mode: none\r\nmax_age: 1\r\n",
        GOOD + "new_field: ü\r\nmx: MX.Far.Test\r\n",
    ],
)
def test_policies(text: str) -> None:
    assert read_policy(text.encode()) == POLICY


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "version"),
        ("<html></html>", "no colon"),
        (GOOD.replace("STSv1", "STSv2"), "version"),
        (GOOD.replace("enforce", "strict"), "mode"),
        (GOOD.replace("mode: enforce\r\n", ""), "mode"),
        (GOOD.replace("604800", "-1"), "max_age"),
        (GOOD.replace("604800", "٣"), "max_age"),
        (GOOD.replace("604800", "9" * 5000), "max_age"),
        (GOOD.replace("mx: mx.far.test\r\nmx: *.far.test\r\n", ""), "no mx"),
        (GOOD.replace("*.far", "mx.*.far"), "not a host"),
        (GOOD.replace("*.far", "*.*.far"), "not a host"),
        (GOOD + "mx: \r\n", "not a host"),
        (GOOD + "".join(f"mx: m{i}.far.test\r\n" for i in range(200)), "more than 100 mx"),
        (GOOD + "\x00\x01\r\n", "no colon"),
    ],
)
def test_policies_that_are_not_valid(text: str, reason: str) -> None:
    with pytest.raises(FetchError, match=reason) as caught:
        read_policy(text.encode())
    assert caught.value.result == "sts-policy-invalid"


def test_a_policy_that_is_no_text() -> None:
    with pytest.raises(FetchError, match="not UTF-8"):
        read_policy(b"\xff\xfe")


def test_a_policy_of_mode_none_needs_no_mx_and_a_year_is_the_most() -> None:
    assert read_policy(b"version: STSv1\nmode: none\nmax_age: 9999999999\n") == StsPolicy(
        "none", (), 31_557_600
    )


def test_hosts_of_a_policy() -> None:
    assert POLICY.allows("mx.far.test")
    assert POLICY.allows("other.far.test")
    assert not POLICY.allows("a.b.far.test")
    assert not POLICY.allows("far.test")


class World:
    """far.test, whose web server says ``document``; None: it does not answer."""

    def __init__(self, directory: Path) -> None:
        self.clock = FakeClock()
        self.resolver = FakeResolver()
        self.report = TlsReport()
        self.document: str | None = GOOD
        self.fetched: list[str] = []
        self.files = PolicyFiles(directory / "mta-sts", self.clock)
        self.files.open()
        self.record("1")
        self.restart()

    def restart(self) -> None:
        """What is only in memory is gone."""
        self.policies = StsPolicies(self.resolver, self, self.files, self.report, self.clock)

    def record(self, number: str | None) -> None:
        """Let the domain's record have this id; None: it has no record."""
        self.resolver.txts = (
            {} if number is None else {"_mta-sts.far.test": [f"v=STSv1; id={number};".encode()]}
        )

    async def fetch(self, url: str) -> bytes:
        """See `Fetcher.fetch`."""
        self.fetched.append(url)
        if self.document is None:
            raise FetchError("sts-policy-fetch-error", "no answer")
        return self.document.encode()

    def after(self, seconds: float) -> "World":
        """Let time go by."""
        self.clock.pass_by(seconds)
        return self

    async def get(self) -> StsPolicy | None:
        return await self.policies.policy("far.test")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def run(test: Callable[[], Awaitable[Any]]) -> None:
    asyncio.run(test())  # type: ignore[arg-type]


def test_a_policy_is_fetched_once_and_kept(world: World) -> None:
    async def test() -> None:
        assert await world.get() == POLICY
        assert world.fetched == ["https://mta-sts.far.test/.well-known/mta-sts.txt"]
        assert await world.after(3600).get() == POLICY
        world.restart()
        assert await world.get() == POLICY
        assert len(world.fetched) == 1

    run(test)


def test_a_domain_without_a_record_is_not_asked(world: World) -> None:
    async def test() -> None:
        world.record(None)
        assert await world.get() is None
        assert world.fetched == []

    run(test)


def test_a_hundred_letters_fetch_once(world: World) -> None:
    async def test() -> None:
        assert set(await asyncio.gather(*(world.get() for _ in range(100)))) == {POLICY}
        assert len(world.fetched) == 1

    run(test)


def test_a_new_record_brings_a_new_policy(world: World) -> None:
    async def test() -> None:
        await world.get()
        world.record("2")
        world.document = GOOD.replace("enforce", "testing")
        assert await world.get() == POLICY
        changed = await world.after(CHECKED_EVERY).get()
        assert changed is not None
        assert changed.mode == "testing"

    run(test)


def test_the_old_policy_holds_while_the_new_one_cannot_be_had(world: World) -> None:
    async def test() -> None:
        await world.get()
        world.record("2")
        world.document = None
        assert await world.after(CHECKED_EVERY).get() == POLICY
        world.document = "garbage"
        assert await world.after(CHECKED_EVERY).get() == POLICY
        (tally,) = world.report.snapshot()
        assert tally.failures == (
            (Failure("sts-policy-fetch-error", ""), 1),
            (Failure("sts-policy-invalid", ""), 1),
        )

    run(test)


@pytest.mark.parametrize("silent", [False, True])
def test_a_policy_outlives_its_record_and_silence_of_the_dns(world: World, silent: bool) -> None:
    async def test() -> None:
        await world.get()
        world.record(None)
        if silent:
            world.resolver.failing = {"_mta-sts.far.test"}
        assert await world.after(6 * DAY).get() == POLICY
        assert await world.after(DAY - 1).get() == POLICY
        assert await world.after(1).get() is None

    run(test)


def test_a_policy_is_refreshed_daily(world: World) -> None:
    async def test() -> None:
        await world.get()
        await world.after(DAY - 1).get()
        assert len(world.fetched) == 1
        for _ in range(10):
            assert await world.after(DAY).get() == POLICY
        assert len(world.fetched) == 11

    run(test)


def test_a_fetch_that_failed_is_not_tried_again_at_once(world: World) -> None:
    async def test() -> None:
        world.document = None
        assert await world.get() is None
        assert await world.after(CHECKED_EVERY - 1).get() is None
        assert len(world.fetched) == 1
        world.document = GOOD
        assert await world.after(1).get() == POLICY

    run(test)


def test_mode_none_ends_a_policy(world: World) -> None:
    async def test() -> None:
        await world.get()
        world.record("2")
        world.document = "version: STSv1\nmode: none\nmax_age: 86400\n"
        assert await world.after(CHECKED_EVERY).get() is None
        world.record(None)
        assert await world.after(CHECKED_EVERY).get() is None

    run(test)


def test_a_policy_that_is_over_at_once(world: World) -> None:
    async def test() -> None:
        world.document = GOOD.replace("604800", "0")
        assert await world.get() == POLICY.__class__("enforce", POLICY.mx, 0)
        world.record(None)
        assert await world.after(2).get() is None

    run(test)


def test_close(world: World) -> None:
    async def test() -> None:
        hanging = asyncio.Event()

        async def fetch(url: str) -> bytes:
            await hanging.wait()
            return b""

        world.fetch = fetch  # type: ignore[method-assign]
        asker = asyncio.create_task(world.get())
        await asyncio.sleep(0.01)
        world.policies.close()
        with pytest.raises(asyncio.CancelledError):
            await asker

    run(test)


def stored(domain: str = "far.test", fetched: float = 1_700_000_000.0) -> Stored:
    return Stored(domain, "1", fetched, POLICY)


def test_files_are_whole_or_not_there(world: World, tmp_path: Path) -> None:
    directory = tmp_path / "mta-sts"
    world.files.put(stored())
    assert world.files.get("far.test") == stored()
    assert os.listdir(directory) == ["far.test.json"]
    for data in (b"", b"{", b'{"domain": 1}', b'{"domain": "\xff"}', b"\xff", GOOD.encode()):
        (directory / "far.test.json").write_bytes(data)
        assert world.files.get("far.test") is None


def test_a_file_says_for_whom_and_how_long(world: World, tmp_path: Path) -> None:
    long = ".".join(["a" * 50] * 4)
    world.files.put(stored(long + ".one"))
    assert world.files.get(long + ".one") is not None
    assert world.files.get(long + ".two") is None
    world.files.put(stored())
    world.clock.pass_by(-10)  # a clock that was set back
    assert world.files.get("far.test") is None


def test_files_of_the_year_before_go(world: World, tmp_path: Path) -> None:
    world.files.put(stored())
    world.files.put(stored("old.test"))
    old = world.clock.now() - 31_557_601
    os.utime(tmp_path / "mta-sts/far.test.json", (world.clock.now(), world.clock.now()))
    os.utime(tmp_path / "mta-sts/old.test.json", (old, old))
    world.files.open()
    assert os.listdir(tmp_path / "mta-sts") == ["far.test.json"]


def test_the_files_are_bounded(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mta_sts, "_MOST_FILES", 2)
    for name in ("a.test", "b.test", "c.test"):
        world.files.put(stored(name))
    world.files.put(stored("a.test", 1_700_000_000.0 - 1))
    assert sorted(os.listdir(tmp_path / "mta-sts")) == ["a.test.json", "b.test.json"]
    kept = world.files.get("a.test")
    assert kept is not None
    assert kept.fetched == 1_700_000_000.0 - 1


def test_a_disk_that_takes_nothing_costs_only_the_memory(tmp_path: Path) -> None:
    world = World(tmp_path)
    (tmp_path / "mta-sts").rename(tmp_path / "gone")

    async def test() -> None:
        assert await world.get() == POLICY

    run(test)
