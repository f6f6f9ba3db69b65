"""The queue commands that change something: they count, ask, do it in pieces and tell."""

import os
import sys
from typing import Any

import click

from fastsmtp.cli import queue_run
from fastsmtp.cli.options import Stop, json_option, settings_option
from fastsmtp.cli.queue_filter import filter_of, filter_options
from fastsmtp.cli.queue_progress import Progress, as_json_text, messages, not_here
from fastsmtp.control import together
from fastsmtp.control.office import Office
from fastsmtp.control.queue import Action, Change, QueueFilter
from fastsmtp.control.together import Tally

_NAMED = 5
_DONE: dict[Action, str] = {
    "retry": "to be tried now",
    "hold": "held",
    "release": "released",
    "remove": "removed",
    "bounce": "returned to their senders",
}
_COMMANDS: tuple[tuple[str, Action, str, str], ...] = (
    ("retry", "retry", "Try messages at once, also those whose site is paused.", "--to-domain far.test"),
    ("hold", "hold", "Keep messages without trying them, until `release`.", "--from news@example.org --yes"),
    ("release", "release", "Try held messages again, as by their schedule.", "--state held"),
    ("rm", "remove", "Remove messages for good; nobody is told.", "--to '*@far.test' --older 4d"),
    ("bounce", "bounce", "Give messages up now: their senders are told.", "--code 5 --older 1h"),
)


def changing_commands() -> list[click.Command]:
    """All of them."""
    return [_changing(*entry) for entry in _COMMANDS]


def _changing(name: str, action: Action, help_text: str, example: str) -> click.Command:
    """A command that does ``action``."""

    def callback(ids: tuple[str, ...], **given: Any) -> int:
        everything, file = given.pop("everything"), given.pop("file")
        dry, yes, as_json = given.pop("dry"), given.pop("yes"), given.pop("as_json")
        filter = filter_of(given, ids)
        chosen = filter != QueueFilter()
        if chosen == everything:
            raise click.UsageError("say which messages: queue ids, filters, or --everything")
        if filter.ids is not None and filter != QueueFilter(ids=filter.ids):
            raise click.UsageError("queue ids and filters do not go together")
        job = _Job(Change(filter=filter, action=action), dry, yes, as_json)
        return queue_run.run(file, job.work)

    callback = json_option()(callback)
    callback = settings_option()(callback)
    callback = click.option("--yes", is_flag=True, help="Do not ask.")(callback)
    callback = click.option("--dry-run", "dry", is_flag=True, help="Only say how many there are.")(callback)
    callback = filter_options(everything=True)(callback)
    callback = click.argument("ids", metavar="[ID]...", nargs=-1)(callback)
    callback.__doc__ = (
        f"{help_text}\n\nThose that match are counted first, and you are asked.\n\n\b\n"
        f"Examples:\n  fastsmtp queue {name} 5H2kQz8A0001x\n  fastsmtp queue {name} {example}\n"
    )
    return click.command(name)(callback)


class _Job:
    """One change: counts, asks, does it, tells."""

    def __init__(self, change: Change, dry: bool, yes: bool, as_json: bool) -> None:
        self._change = change
        self._dry = dry
        self._yes = yes
        self._as_json = as_json
        self._matched = 0

    async def work(self, found: Office) -> int:
        """See `queue_run.run`."""
        change = self._change
        with Progress("counting", everything=change.filter == QueueFilter()) as shown:
            self._matched = (await together.count(found.desks, change.filter, shown)).messages
        code = await self._tell_unknown(found)
        if not self._matched or self._dry:
            self._tell(Tally())
            return code
        if not self._yes:
            self._ask()
        with Progress(change.action, self._matched) as shown:
            try:
                tally = await together.change(found.desks, change, shown)
            except BaseException:
                shown.clear()
                click.echo(
                    f"stopped: {shown.last.messages:,} of {self._matched:,} are {_DONE[change.action]}",
                    err=True,
                )
                raise
        self._tell(tally)
        return code

    async def _tell_unknown(self, found: Office) -> int:
        ids = self._change.filter.ids
        if ids is None or self._matched == len(ids):
            return os.EX_OK
        known = {
            row.id async for row in together.find(found.desks, self._change.filter, None, lambda tally: None)
        }
        unknown = [one for one in ids if one not in known]
        for one in unknown[:_NAMED]:
            click.echo(f"fastsmtp: {not_here(one)}", err=True)
        if len(unknown) > _NAMED:
            click.echo(f"fastsmtp: nor are {len(unknown) - _NAMED} others", err=True)
        return os.EX_NOINPUT if unknown else os.EX_OK

    def _ask(self) -> None:
        question = f"{self._change.action} {messages(self._matched)}"
        if not asked():
            raise Stop(os.EX_USAGE, f"{question}: nobody can be asked here; say --yes, or --dry-run")
        click.confirm(f"{question}?", abort=True, err=True)

    def _tell(self, tally: Tally) -> None:
        change = self._change
        if self._as_json:
            facts = {
                "action": change.action,
                "dry_run": self._dry,
                "matched": self._matched,
                "changed": tally.messages,
                "skipped": tally.skipped,
            }
            click.echo(as_json_text(facts))
        elif not self._matched:
            click.echo("no message matches")
        elif self._dry:
            click.echo(f"would {change.action} {messages(self._matched)}")
        else:
            left = f", {tally.skipped:,} left as they are" if tally.skipped else ""
            click.echo(f"{messages(tally.messages)} {_DONE[change.action]}{left}")


def asked() -> bool:
    """Whether there is somebody who can answer."""
    return sys.stdin.isatty()
