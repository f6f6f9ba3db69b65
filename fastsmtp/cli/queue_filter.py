"""The options that say which messages of the queue are meant."""

from collections.abc import Callable
from typing import Any

import click

from fastsmtp.cli.parsed import Parsed
from fastsmtp.config.values import parse_duration
from fastsmtp.control.queue import MOST_IDS, MOST_WORDS, QueueFilter
from fastsmtp.mail.ids import LENGTH

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
FIELDS = ("recipient", "domain", "sender", "older", "younger", "state", "code", "text", "remote", "route")


def _seconds(text: str) -> float:
    return float(parse_duration(text))


def _sender(text: str) -> str:
    if len(text) > MOST_WORDS:
        raise ValueError(f"expected up to {MOST_WORDS} characters")
    return "" if text == "<>" else text


def _domain(text: str) -> str:
    bare = text.removeprefix("*.")
    if not bare or "@" in bare or "*" in bare:
        raise ValueError(f'expected a domain such as "far.test" or "*.far.test", got "{text}"')
    return text.rstrip(".").lower()


def _code(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) <= 3):
        raise ValueError(f'expected a code such as "450", or its first digits such as "4", got "{text}"')
    return text


def _words(text: str) -> str:
    if not text or len(text) > MOST_WORDS:
        raise ValueError(f"expected 1 to {MOST_WORDS} characters")
    return text


_OPTIONS = (
    (
        "--rcpt",
        "recipient",
        Parsed("GLOB", _words),
        "Recipient, such as bob@far.test, '*@far.test' or 'news-*'.",
    ),
    ("--to-domain", "domain", Parsed("DOMAIN", _domain), "Recipient's domain; '*.far.test': all below it."),
    ("--from", "sender", Parsed("GLOB", _sender), "Sender; '<>' is the null sender of bounces."),
    ("--older", "older", Parsed("AGE", _seconds), "Came longer ago than this, such as 30m, 4h or 2d."),
    ("--younger", "younger", Parsed("AGE", _seconds), "Came less long ago than this."),
    (
        "--state",
        "state",
        click.Choice(["fresh", "deferred", "held"]),
        "On the first attempt, waiting, or held.",
    ),
    ("--code", "code", Parsed("CODE", _code), "Code of the last reply, or its first digits; 000: no reply."),
    ("--text", "text", Parsed("WORDS", _words), "Words of the last reply."),
    ("--remote", "remote", Parsed("GLOB", _words), "Host spoken to last, such as '*192.0.2.1*'."),
    (
        "--route",
        "route",
        Parsed("GLOB", _words),
        "Where it would go now: the match of its route, or a hop such as mx:far.test or '127.0.0.1:*'.",
    ),
)


def filter_options(*, everything: bool, short: bool = True) -> Decorator:
    """The options, given to the command as ``given``'s fields; with ``everything`` also the one that says that all
    messages are meant. ``short``: ``--to`` is ``--rcpt``, too."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        if everything:
            command = click.option("--everything", is_flag=True, help="All messages.")(command)
        for option, name, kind, help_text in reversed(_OPTIONS):
            names = ("--to", option) if short and name == "recipient" else (option,)
            command = click.option(*names, name, type=kind, help=help_text)(command)
        return command

    return decorate


def filter_of(given: dict[str, Any], ids: tuple[str, ...] = ()) -> QueueFilter:
    """The filter of a command's options, which are taken out of ``given``, and its ids."""
    fields = {name: given.pop(name) for name in FIELDS}
    if len(ids) > MOST_IDS:
        raise click.UsageError(f"{len(ids)} ids are more than {MOST_IDS}; use a filter, or several commands")
    for one in ids:
        check_id(one)
    return QueueFilter(ids=tuple(dict.fromkeys(ids)) or None, **fields)


def check_id(text: str) -> None:
    """Ends the command when ``text`` cannot be a queue id."""
    if len(text) != LENGTH or not (text.isascii() and text.isalnum()):
        raise click.UsageError(f'"{text[:40]}" is no queue id, which has {LENGTH} letters and digits')
