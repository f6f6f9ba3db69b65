"""The command line, as scripts write it."""

import os

import pytest

from fastsmtp.sendmail.failure import Failure
from fastsmtp.sendmail.options import parse


@pytest.mark.parametrize(
    "line",
    [
        "-i -t -f a@b",
        "-it -fa@b",
        "-oi -t -ra@b",
        "-i -oem -odb -t -r a@b",
        "-o i -tv -O DeliveryMode=b -f a@b",
        "-B8BITMIME -i -t -f a@b",
        "-bm -G -Ac -L tag -X /dev/null -x -n -h 3 -i -t -f a@b",
    ],
)
def test_one_meaning_of_many_lines(line: str) -> None:
    options = parse(line.split())
    assert (options.mode, options.ignore_dots, options.from_header, options.sender, options.recipients) == (
        "submit",
        True,
        True,
        "a@b",
        [],
    )


def test_recipients_are_what_is_left() -> None:
    assert parse(["-i", "--", "-x@y"]).recipients == ["-x@y"]
    assert parse(["-F", "Full Name", "a", "-i"]).recipients == ["a", "-i"]
    assert parse(["-f", "", "a"]).sender == ""


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("-bs", "smtp"),
        ("-bp", "queue"),
        ("-bi", "aliases"),
        ("-I", "aliases"),
        ("-q", "run"),
        ("--help", "help"),
    ],
)
def test_modes(line: str, mode: str) -> None:
    assert parse([line]).mode == mode


def test_dsn() -> None:
    options = parse(["-N", "failure,delay", "-R", "hdrs", "-V", "x y", "a"])
    assert (options.notify, options.ret, options.envid) == ("FAILURE,DELAY", "HDRS", "x y")


@pytest.mark.parametrize(
    "line", ["-Z", "-f", "-bd", "-bD", "-bv", "-bx", "-N maybe", "-R some", "-V " + "x" * 101]
)
def test_wrong_usage(line: str) -> None:
    with pytest.raises(Failure) as caught:
        parse(line.split())
    assert caught.value.code == os.EX_USAGE
