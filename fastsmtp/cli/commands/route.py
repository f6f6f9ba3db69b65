"""``fastsmtp route``."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastsmtp.cli.options import json_option, settings_from, settings_option
from fastsmtp.cli.parsed import Parsed
from fastsmtp.config.values import parse_ip

if TYPE_CHECKING:
    from fastsmtp.routing.explain import Explanation, Final


def _sender(text: str) -> str:
    from fastsmtp.routing.explain import checked_sender

    return checked_sender(text)


def _client(text: str) -> str:
    address = parse_ip(text)
    if address is None:
        raise ValueError(f'expected an IP address such as "192.0.2.1", got "{text}"')
    return str(address)


@click.group("route")
def command() -> None:
    """Show where mail goes.

    \b
    Example:
      fastsmtp route explain info@example.org -c /etc/fastsmtp/fastsmtp.toml
    """


@command.command("explain")
@click.argument("address")
@click.option(
    "--from",
    "sender",
    type=Parsed("ADDRESS", _sender),
    help="The message's sender; without it the null sender of bounces.",
)
@click.option(
    "--client",
    type=Parsed("IP", _client),
    help="The client that sends it; without it a stranger.",
)
@settings_option()
@json_option()
def explain(address: str, sender: str | None, client: str | None, file: Path | None, as_json: bool) -> int:
    """Print each step from ADDRESS to the mailbox or host its mail goes to, decided by what the server itself uses.

    \b
    Examples:
      fastsmtp route explain alice@example.org
      fastsmtp route explain bob@far.test --client 192.0.2.7 --from alice@example.org -c /etc/fastsmtp/fastsmtp.toml
    """
    settings = settings_from(file)
    from fastsmtp.process.routing import router_of
    from fastsmtp.routing.explain import explain as explained
    from fastsmtp.routing.route import RemoteRoute

    router, notes = router_of(settings)
    found = explained(router, address, client or "a stranger", sender or "")
    if not any(step.step == "srs" for step in found.steps) and not any(one.sender for one in found.finals):
        notes = []
    if any(isinstance(one.route, RemoteRoute) and one.route.verify for one in found.finals):
        notes.append("the answer to RCPT is that of the next hop, which is not asked here")
    if as_json:
        facts = {
            "address": address,
            "client": client,
            "sender": sender or "",
            **summary(found),
            "notes": notes,
        }
        click.echo(json.dumps(facts, indent=2))
        return os.EX_OK
    for step in found.steps:
        click.echo(f"{step.step:<11}{step.text}{f'  [{step.place}]' if step.place else ''}")
    click.echo(f"{'answer':<11}{_words(found)}")
    width = max((len(final.address) for final in found.finals), default=0)
    for final in found.finals:
        click.echo(f"  {final.address:<{width}}  →  {final}")
    if found.permitted is not None:
        click.echo(f"  for those who may: {found.permitted.address}  →  {found.permitted}")
    for note in notes:
        click.echo(f"note: {note}")
    return os.EX_OK


def summary(found: "Explanation") -> dict[str, Any]:
    """The explanation as plain values."""
    return {
        "accepted": found.reply.positive,
        "answer": _words(found),
        "steps": [{"step": one.step, "text": one.text, "place": one.place or None} for one in found.steps],
        "recipients": [_final(one) for one in found.finals],
        "permitted": None if found.permitted is None else _final(found.permitted),
    }


def _words(found: "Explanation") -> str:
    return f"{found.reply.code} {found.reply.status} {' '.join(found.reply.text)}"


def _final(final: "Final") -> dict[str, Any]:
    from fastsmtp.routing.route import LocalRoute

    route = final.route
    facts: dict[str, Any] = {"address": final.address, "sender": final.sender}
    if isinstance(route, LocalRoute):
        return {**facts, "mailbox": route.mailbox}
    hops = [
        {"kind": hop.kind, "host": hop.host, "port": hop.port, "tls": hop.tls, "credentials": hop.credentials}
        for hop in route.hops
    ]
    return {**facts, "match": route.name, "verify": route.verify, "hops": hops}
