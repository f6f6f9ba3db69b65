"""The queue commands that change something: they count, ask, do it in pieces and tell."""

import os
import sys
from typing import Any, NamedTuple

import click

from fastsmtp.cli import queue_run
from fastsmtp.cli.json_text import as_json_text
from fastsmtp.cli.options import Stop, json_option, settings_option
from fastsmtp.cli.queue_filter import filter_of, filter_options
from fastsmtp.cli.queue_progress import Progress, messages, not_here
from fastsmtp.control import together
from fastsmtp.control.office import Office
from fastsmtp.control.queue import MOST_HOPS, Action, Change, QueueFilter
from fastsmtp.control.together import Tally

_NAMED = 5
_DONE: dict[Action, str] = {
    "retry": "to be tried now",
    "hold": "held",
    "release": "released",
    "reroute": "rerouted",
    "remove": "removed",
    "bounce": "returned to their senders",
}


class _Command(NamedTuple):
    """``examples`` are what stands behind the command's name."""

    name: str
    action: Action
    help: str
    examples: tuple[str, ...]


_COMMANDS = (
    _Command(
        "retry", "retry", "Try messages at once, also those whose site is paused.", ("--to-domain far.test",)
    ),
    _Command(
        "hold",
        "hold",
        "Keep messages without trying them, until `release`.",
        ("--from news@example.org --yes",),
    ),
    _Command("release", "release", "Try held messages again, as by their schedule.", ("--state held",)),
    _Command("rm", "remove", "Remove messages for good; nobody is told.", ("--to '*@far.test' --older 4d",)),
    _Command("bounce", "bounce", "Give messages up now: their senders are told.", ("--code 5 --older 1h",)),
)
_REROUTE = _Command(
    "reroute",
    "reroute",
    "Send messages to other hosts than the routes say, at once; those that are held are released.\n\n"
    "A hop is written as in `to` of [[routes]]: host:port, lmtp:host:port, mx or mx:domain. It is used without "
    "credentials, and stays with the message until --clear.",
    (
        "--to-domain far.test --to backup.test:25 --to mx",
        "--route 'old.test:*' --to 192.0.2.7:25",
        "--everything --clear",
    ),
)


def changing_commands() -> list[click.Command]:
    """All of them."""
    return [*(_changing(one) for one in _COMMANDS), _rerouting()]


def _changing(one: _Command) -> click.Command:
    def callback(ids: tuple[str, ...], **given: Any) -> int:
        return _run(one.action, (), ids, given)

    return _command(one, filter_options(everything=True)(callback))


def _rerouting() -> click.Command:
    def callback(ids: tuple[str, ...], to: tuple[str, ...], clear: bool, **given: Any) -> int:
        if bool(to) == clear:
            raise click.UsageError("say where to: --to HOP, several in order of preference, or --clear")
        if to:
            _check_hops(to)
        return _run(_REROUTE.action, to, ids, given)

    callback = filter_options(everything=True, short=False)(callback)
    callback = click.option("--clear", is_flag=True, help="By the routes again.")(callback)
    callback = click.option(
        "--to", multiple=True, metavar="HOP", help="Where to; may be given several times."
    )(callback)
    return _command(_REROUTE, callback)


def _check_hops(to: tuple[str, ...]) -> None:
    from fastsmtp.routing.destinations import parse_hops

    if len(to) > MOST_HOPS:
        raise click.UsageError(f"--to: {len(to)} hops are more than {MOST_HOPS}")
    try:
        parse_hops(to)
    except ValueError as error:
        hint = "; recipients are named by --rcpt" if "@" in "".join(to) else ""
        raise click.UsageError(f"--{error}{hint}") from None


def _command(one: _Command, callback: Any) -> click.Command:
    """The command with the options that all have."""
    callback = json_option()(callback)
    callback = settings_option()(callback)
    callback = click.option("--yes", is_flag=True, help="Do not ask.")(callback)
    callback = click.option("--dry-run", "dry", is_flag=True, help="Only say how many there are.")(callback)
    callback = click.argument("ids", metavar="[ID]...", nargs=-1)(callback)
    examples = "".join(f"\n  fastsmtp queue {one.name} {words}" for words in one.examples)
    first = f"5H2kQz8A0001x{' --to backup.test:25' if one is _REROUTE else ''}"
    callback.__doc__ = (
        f"{one.help}\n\nThose that match are counted first, and you are asked.\n\n\b\n"
        f"Examples:\n  fastsmtp queue {one.name} {first}{examples}\n"
    )
    return click.command(one.name)(callback)


def _run(action: Action, hops: tuple[str, ...], ids: tuple[str, ...], given: dict[str, Any]) -> int:
    everything, file = given.pop("everything"), given.pop("file")
    dry, yes, as_json = given.pop("dry"), given.pop("yes"), given.pop("as_json")
    filter = filter_of(given, ids)
    if (filter != QueueFilter()) == everything:
        raise click.UsageError("say which messages: queue ids, filters, or --everything")
    if filter.ids is not None and filter != QueueFilter(ids=filter.ids):
        raise click.UsageError("queue ids and filters do not go together")
    job = _Job(Change(filter=filter, action=action, hops=hops), dry, yes, as_json)
    return queue_run.run(file, job.work)


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

    def _wish(self) -> str:
        """What is to be done, in words."""
        change = self._change
        wish = f"{change.action} {messages(self._matched)}"
        if change.action != "reroute":
            return wish
        return f"{wish} to {', then '.join(change.hops)}" if change.hops else f"{wish} by the routes again"

    def _ask(self) -> None:
        if not asked():
            raise Stop(os.EX_USAGE, f"{self._wish()}: nobody can be asked here; say --yes, or --dry-run")
        click.confirm(f"{self._wish()}?", abort=True, err=True)

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
            click.echo(f"would {self._wish()}")
        else:
            left = f", {tally.skipped:,} left as they are" if tally.skipped else ""
            click.echo(f"{messages(tally.messages)} {_DONE[change.action]}{left}")


def asked() -> bool:
    """Whether there is somebody who can answer."""
    return sys.stdin.isatty()
