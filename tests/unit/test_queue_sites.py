"""What waits for a site, and what the board knows of it."""

from random import Random

import pytest

from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.queue.letters import RemoteMail
from fastsmtp.queue.plan.board import SiteBoard
from fastsmtp.queue.plan.settings import PlanSettings
from fastsmtp.queue.sites import Part, Sites


def part() -> Part:
    known = [Recipient("a@Far.test", ""), Recipient("b@far.test", ""), Recipient("c@two.test", "")]
    mail = RemoteMail(Envelope("ID", "s@x", known, "", "", "", 0.0), 0.0, None)
    return Part(mail, [0, 1, 2], ((), False), False)


def world() -> tuple[Sites, SiteBoard]:
    settings = PlanSettings()
    board = SiteBoard(settings.board_limits(1), settings.schedule, Random(1))
    return Sites(board), board


def waiting(board: SiteBoard, name: str) -> int:
    state = board.state(name, 0.0)
    return 0 if state is None else state.waiting


def test_the_board_is_told_of_memory_and_spool() -> None:
    sites, board = world()
    site = sites.get("mx")
    site.queue.extend([part(), part()])
    sites.tell(site, 0.0)
    assert waiting(board, "mx") == 2
    site.keep("far.test", 5)
    sites.tell(site, 0.0)
    assert waiting(board, "mx") == 7
    site.stored = 0
    sites.tell(site, 0.0)
    assert waiting(board, "mx") == 3, "one at least while a domain was not read to its end"
    site.domains.clear()
    site.queue.clear()
    sites.tell(site, 0.0)
    assert waiting(board, "mx") == 0
    assert sites.known() == []


def test_one_under_way_is_not_forgotten() -> None:
    sites, _ = world()
    site = sites.get("mx")
    site.under_way = 1
    sites.tell(site, 0.0)
    assert sites.known() == [site]
    assert site.in_use


def test_those_without_mail_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsmtp.queue.sites._MOST", 3)
    sites, _ = world()
    busy = sites.get("busy")
    busy.queue.append(part())
    for name in ("a", "b", "c"):
        sites.get(name).health = "working"
    assert [site.name for site in sites.known()] == ["busy", "c"]


def test_domains_of_a_part() -> None:
    assert part().domains() == {"far.test", "two.test"}
