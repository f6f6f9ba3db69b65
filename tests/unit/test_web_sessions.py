"""Sessions by HTTP: what all workers know, as one."""

import asyncio
from typing import Any

import pytest

from fastsmtp.session.talks import SessionRow, SessionShown
from fastsmtp.telemetry.dialogue import Facts, Said
from fastsmtp.web.access import Client
from fastsmtp.web.operation import Asked
from fastsmtp.web.problem import Problem
from fastsmtp.web.sessions import SessionApi, SessionList, SessionTold


class Workers:
    """A hub of workers that give these ``answers``."""

    def __init__(self, *answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, object]] = []

    async def every(self, verb: str, argument: object, form: Any) -> list[Any]:
        self.asked.append((verb, argument))
        return list(self.answers)


def row(name: str) -> SessionRow:
    return SessionRow(name=name, state="open", client="192.0.2.1", facts=Facts())


def ask(workers: Any, operation: str, **path: str) -> Any:
    async def nothing() -> Any:
        return
        yield b""

    asked = Asked(Client("127.0.0.1", False, True), None, path, None, None, {}, nothing(), None)
    (one,) = (one for one in SessionApi(workers).operations() if one.name == operation)
    assert one.right == "admin"

    async def main() -> Any:
        return await one.handler(asked)

    return asyncio.run(main())


def test_the_list_has_the_sessions_of_all_workers() -> None:
    workers = Workers([row("0.1"), row("")], [], [row("2.1")])
    found = ask(workers, "listSessions")
    assert found == SessionList(sessions=[row("0.1"), row(""), row("2.1")])
    assert workers.asked == [("session.ls", None)]


def test_one_is_shown_by_the_worker_that_kept_it() -> None:
    shown = SessionShown(row=row("1.1"), lines=[Said(5.0, "C", "NOOP"), Said(6.0, "S", "250 2.0.0 OK")])
    workers = Workers(None, shown)
    found = ask(workers, "showSession", name="1.1")
    assert isinstance(found, SessionTold)
    assert found.session == row("1.1")
    assert [(one.at, one.who, one.text) for one in found.lines] == [
        (5.0, "C", "NOOP"),
        (6.0, "S", "250 2.0.0 OK"),
    ]
    assert workers.asked == [("session.show", "1.1")]


@pytest.mark.parametrize(("name", "asked"), [("1.2", 1), ("x" * 40, 1), ("x" * 41, 0)])
def test_what_nobody_kept_is_not_there(name: str, asked: int) -> None:
    """A name that no worker would read is asked of none."""
    workers = Workers(None, None)
    with pytest.raises(Problem) as caught:
        ask(workers, "showSession", name=name)
    assert (caught.value.status, len(workers.asked)) == (404, asked)
