"""What is set aside can be read by a person."""

import json
from pathlib import Path

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.spool.corrupt import set_aside

ENVELOPE = Envelope("ID", "s@x", [Recipient("r@y", "r@y")], "192.0.2.1", "helo", "SMTP", 1.5)


def test_a_message_and_its_facts(tmp_path: Path) -> None:
    path = set_aside(tmp_path / "corrupt", "ID", b"From: x\r\n", "why", 2.5, ENVELOPE)
    assert path.read_bytes() == b"From: x\r\n"
    facts = json.loads(path.with_suffix(".json").read_text())
    assert (facts["reason"], facts["set_aside_at"], facts["recipients"]) == ("why", 2.5, ["r@y"])
    assert path.stat().st_mode & 0o777 == 0o600


def test_again_overwrites(tmp_path: Path) -> None:
    set_aside(tmp_path / "corrupt", "n", b"longer text", "one", 1, None)
    path = set_aside(tmp_path / "corrupt", "n", b"text", "two", 1, None)
    assert path.read_bytes() == b"text"
    assert json.loads(path.with_suffix(".json").read_text()) == {"reason": "two", "set_aside_at": 1}


def test_a_body_file_is_linked_and_may_be_missing(tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"large")
    assert set_aside(tmp_path / "corrupt", "n", body, "why", 1, None).read_bytes() == b"large"
    path = set_aside(tmp_path / "corrupt", "m", tmp_path / "absent", "why", 1, None)
    assert not path.exists()
    assert path.with_suffix(".json").exists()
