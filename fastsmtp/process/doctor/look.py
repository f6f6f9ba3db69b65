"""All looks, one after another."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fastsmtp.accounts.base import AccountsError
from fastsmtp.control.client import NotAllowed, NotThere, shards_of
from fastsmtp.control.place import slots
from fastsmtp.process.accounts import names_for_asking
from fastsmtp.process.doctor import leftovers, machine, names, places, ports
from fastsmtp.process.doctor.finding import WEIGHT, Finding
from fastsmtp.process.settings import Settings

AREAS = ("settings", "permissions", "clock", "limits", "disk", "certificates", "ports", "leftovers", "dns")


def findings(
    settings: Settings,
    file: Path | None,
    now: float,
    *,
    outbound: Sequence[str] = (),
    dns: bool = True,
    ask_dns: names.Ask | None = None,
    synchronised: Callable[[], bool | None] = machine.clock_is_synchronised,
) -> list[Finding]:
    """What is found, the worst first. ``file`` is that of the settings, ``now`` in seconds since 1970 UTC;
    ``outbound`` are hosts whose port 25 is to be reached; without ``dns`` nothing is asked of it."""
    held = held_shards(settings.data_dir)
    looks: list[tuple[str, Callable[[], Iterator[Finding] | list[Finding]]]] = [
        ("settings", lambda: machine.look_at_settings(settings)),
        ("permissions", lambda: places.look(settings, file)),
        ("clock", lambda: machine.look_at_clock(settings, now, synchronised)),
        ("limits", lambda: machine.look_at_limits(settings)),
        ("disk", lambda: machine.look_at_disk(settings)),
        ("certificates", lambda: machine.look_at_certificates(settings, now)),
        ("ports", lambda: ports.look(settings, held is not None)),
        ("leftovers", lambda: leftovers.look(settings, now, held)),
    ]
    looks += [("ports", lambda host=host: ports.look_outside(host)) for host in outbound]  # type: ignore[misc]
    if dns:
        asker = ask_dns or names.asker(settings)
        looks.append(("dns", lambda: names.look(settings, domains_of(settings), asker)))
    found: list[Finding] = []
    for area, look in looks:
        try:
            found += look()
        except OSError as error:
            text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            found.append(Finding("warning", area, f"cannot be looked at: {text}", "run it as root"))
    return sorted(found, key=lambda one: -WEIGHT[one.severity])


def domains_of(settings: Settings) -> list[str]:
    """All domains that are ours."""
    own = list(settings.mailboxes.domains)
    accounts, _ = names_for_asking(settings)
    list_domains = getattr(accounts, "domains", None)
    if list_domains is not None:
        try:
            own += list_domains()
        except AccountsError:
            pass  # the settings have a finding of their own
    return list(dict.fromkeys(own))


def held_shards(data_dir: Path) -> set[int] | None:
    """The shards that workers have open; None when no worker answers."""
    try:
        return asyncio.run(_held(data_dir))
    except OSError:
        return None


async def _held(data_dir: Path) -> set[int] | None:
    try:
        desks, problems = await shards_of(data_dir, slots(data_dir))
    except NotAllowed:
        return set()
    gone = all(isinstance(problem, NotThere) for problem in problems)
    return None if gone and not desks else set(desks)
