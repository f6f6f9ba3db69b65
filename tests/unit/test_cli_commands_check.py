"""``fastsmtp check``: a summary, or the faults and exit code 78."""

import json
import os
from pathlib import Path

import pytest

from fastsmtp.cli.main import run

Capture = pytest.CaptureFixture[str]

GOOD = """
hostname = "mx.example.org"
data_dir = "data"
workers = 3
[[listeners]]
address = "127.0.0.1:0"
[mailboxes]
domains = ["example.org", "example.net"]
users = ["alice", "bob"]
path = "mail/{domain}/{user}"
"""


def write(tmp_path: Path, text: str) -> str:
    file = tmp_path / "a.toml"
    file.write_text(text)
    return str(file)


def test_good(tmp_path: Path, capsys: Capture) -> None:
    assert run(["check", "-c", write(tmp_path, GOOD)]) == os.EX_OK
    assert capsys.readouterr().out.splitlines() == [
        "settings are good",
        "  hostname   mx.example.org",
        "  listens on smtp 127.0.0.1:0",
        "  domains    example.org, example.net",
        "  users      2",
        f"  mail goes  {tmp_path}/mail/{{domain}}/{{user}}",
        f"  data dir   {tmp_path}/data",
        "  workers    3",
        "  durability full",
        "  limits     unknown recipients from one address (IPv6: one /64): 120 in 1h, "
        "then 421 to RCPT, and 450 to MAIL",
        "             failed logins from one address (IPv6: one /64): 20 in 1h, then 421 to AUTH",
    ]


def test_rules_are_explained(tmp_path: Path, capsys: Capture) -> None:
    rules = """
[[limits.rules]]
count = "unknown_recipients"
per = "ip"
rate = "off"
[[limits.rules]]
count = "messages"
per = "account"
rate = "500/1h"
burst = 50
"""
    assert run(["check", "--json", "-c", write(tmp_path, GOOD + rules)]) == os.EX_OK
    assert json.loads(capsys.readouterr().out)["limits"] == [
        "failed logins from one address (IPv6: one /64): 20 in 1h, then 421 to AUTH",
        "messages from one account: 500 in 1h, 50 at once, then 450 to MAIL",
    ]


def test_the_default_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["check"]) == os.EX_OK
    assert "users      any\n" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [], "check makes nothing"


def test_bad(tmp_path: Path, capsys: Capture) -> None:
    file = write(tmp_path, GOOD.replace("3", '"x"') + "user = 1\n")
    assert run(["check", "--config", file]) == os.EX_CONFIG
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f'fastsmtp: {file}: workers: expected int between 1 and 256, got "x"',
        f'fastsmtp: {file}: mailboxes.user: no such key; did you mean "users"?',
    ]


def test_bad_for_this_machine(tmp_path: Path, capsys: Capture) -> None:
    file = write(tmp_path, 'user = "no-such-user"\n' + GOOD)
    assert run(["check", "-c", file]) == os.EX_CONFIG
    assert capsys.readouterr().err == (
        f'fastsmtp: {file}: user: there is no user "no-such-user"; '
        "make it (adduser --system --group no-such-user)\n"
    )


def test_bad_for_this_network(tmp_path: Path, capsys: Capture) -> None:
    file = write(tmp_path, GOOD.replace("127.0.0.1:0", "192.0.2.1:25"))
    assert run(["check", "-c", file]) == os.EX_CONFIG
    start = f"fastsmtp: {file}: listeners[0].address: cannot listen on 192.0.2.1:25: "
    assert capsys.readouterr().err.startswith(start)


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ('users = ["alice", "bob"]', "", "mailboxes.users is empty: all mail but postmaster's is refused"),
        (
            'path = "mail/{domain}/{user}"\n',
            'path = "mail/{domain}/{user}"\n[maildrop]\npath = "drop"\n[ledger]\nenabled = false\n',
            "maildrop.path: with ledger.enabled = false a message that is being taken when the server is killed "
            "comes in twice",
        ),
        ('domains = ["example.org", "example.net"]', "", "mailboxes.domains is empty: all mail is refused"),
    ],
)
def test_what_is_hardly_meant_is_a_note(
    tmp_path: Path, capsys: Capture, old: str, new: str, note: str
) -> None:
    file = write(tmp_path, GOOD.replace(old, new))
    assert run(["check", "-c", file]) == os.EX_OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "settings are good, but read the notes"
    assert lines[-1] == f"note: {note}"
    assert ("  domains    none" in lines) is ("domains is empty" in note)
    assert run(["check", "-c", file, "--json"]) == os.EX_OK
    assert json.loads(capsys.readouterr().out)["notes"] == [note]


def test_a_mark_that_is_crossed_already_is_a_note(tmp_path: Path, capsys: Capture) -> None:
    file = write(tmp_path, GOOD + "[pressure]\ndisk_free = 1_000_000_000_000_000\n")
    assert run(["check", "-c", file]) == os.EX_OK
    note = capsys.readouterr().out.splitlines()[-1]
    assert note.startswith(f"note: free space of {tmp_path}/")
    assert note.endswith("; new mail gets 452 until it is 1,164,153.2 GiB: make room there (df)")


def test_bad_toml(tmp_path: Path, capsys: Capture) -> None:
    file = write(tmp_path, "a = 1\nb\n")
    assert run(["check", "-c", file]) == os.EX_CONFIG
    assert capsys.readouterr().err.startswith(f"fastsmtp: {file}:2: not valid TOML: ")


def test_json(tmp_path: Path, capsys: Capture) -> None:
    assert run(["check", "-c", write(tmp_path, GOOD), "--json"]) == os.EX_OK
    facts = json.loads(capsys.readouterr().out)
    assert facts["good"] is True
    assert facts["domains"] == ["example.org", "example.net"]
    file = write(tmp_path, "")
    assert run(["check", "-c", file, "--json"]) == os.EX_CONFIG
    facts = json.loads(capsys.readouterr().out)
    assert facts["good"] is False
    assert f"{file}: hostname: missing; expected string" in facts["problems"]


def test_accounts_of_a_backend_are_not_missed_here(tmp_path: Path, capsys: Capture) -> None:
    text = GOOD.replace('users = ["alice", "bob"]\n', "") + '[accounts]\nbackend = "embedded"\n'
    assert run(["check", "-c", write(tmp_path, text)]) == os.EX_OK
    out = capsys.readouterr().out
    assert "users      0 here, others in accounts (embedded)\n" in out
    assert "note:" not in out


def test_accounts_of_one_name_do_not_share_a_mailbox(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "passwd").touch()
    text = GOOD.replace("mail/{domain}/{user}", "mail/{user}")
    text += '[accounts]\nbackend = "passwd-file"\nfile = "passwd"\n'
    assert run(["check", "-c", write(tmp_path, text)]) == os.EX_CONFIG
    assert "mailboxes.path: accounts of one name in two domains" in capsys.readouterr().err
