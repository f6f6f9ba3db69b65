"""Networks, domains, and the file of recipients."""

from pathlib import Path

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.routing.relay import Recipients, RelayRules, read_recipients
from fastsmtp.routing.settings import RelaySettings


def test_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmtp.routing.relay._CACHED", 3)
    rules = RelayRules(RelaySettings(networks=("10.0.0.0/8", "::1")))
    for _ in range(2):
        for i in range(5):
            assert rules.trusts(f"10.0.0.{i}")
            assert not rules.trusts(f"11.0.0.{i}")
            assert len(rules._trusted) <= 3
    assert rules.trusts("::1")
    assert not rules.trusts("")


def test_domains() -> None:
    rules = RelayRules(RelaySettings(domains=("Corp.test", "*.Below.test")))
    assert rules.covers("corp.test")
    assert not rules.covers("a.corp.test")
    assert rules.covers("a.below.test")
    assert rules.covers("b.a.below.test")
    assert not rules.covers("below.test")
    assert not rules.covers("xbelow.test")
    assert not RelayRules(RelaySettings()).covers("corp.test")


def test_recipients() -> None:
    assert RelayRules(RelaySettings()).knows(("anybody", "corp.test"))
    rules = RelayRules(RelaySettings(), Recipients({("dora", "corp.test")}, {"all.test"}))
    assert rules.knows(("dora", "corp.test"))
    assert not rules.knows(("emil", "corp.test"))
    assert rules.knows(("emil", "all.test"))
    assert rules.knows(("postmaster", "corp.test"))
    assert RelayRules(RelaySettings(domains=("c.test",), recipients="verify")).verify


def test_file(tmp_path: Path) -> None:
    file = tmp_path / "recipients"
    file.write_text('# ours\n\nDora@Corp.test\r\n  "a b"@corp.test\n@All.test\nbücher@bücher.test')
    found = read_recipients(file)
    assert len(found) == 4
    for key in [
        ("dora", "corp.test"),
        ("a b", "corp.test"),
        ("x", "all.test"),
        ("bücher", "xn--bcher-kva.test"),
    ]:
        assert key in found
    assert ("emil", "corp.test") not in found


def problems(file: Path) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read_recipients(file)
    return caught.value.problems


def test_bad_files(tmp_path: Path) -> None:
    file = tmp_path / "recipients"
    assert problems(file) == (f"relay.recipients: cannot read {file}: No such file or directory",)
    file.write_bytes(b"a@b.test\n\xff@b.test\n")
    assert problems(file) == (f"relay.recipients: {file}:2: not UTF-8",)
    file.write_text("a@b.test\ndora\n@\n")
    assert problems(file) == (
        f'relay.recipients: {file}:2: expected "user@domain" or "@domain", got "dora"',
        f'relay.recipients: {file}:3: expected "user@domain" or "@domain", got "@"',
    )
    file.write_text("x\n" * 1000)
    assert len(problems(file)) == 20
