"""``fastsmtp bench``: the load generator."""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import click

from fastsmtp.cli import exits
from fastsmtp.cli.load_progress import LoadProgress
from fastsmtp.cli.options import Stop
from fastsmtp.cli.parsed import Parsed
from fastsmtp.loadgen import html, report
from fastsmtp.loadgen.benchmark import BenchmarkError, benchmark
from fastsmtp.loadgen.crew import Watch
from fastsmtp.loadgen.plan import MECHANISMS, Login, Plan, Target, Tls
from fastsmtp.loadgen.sizes import Share, parse_mix
from fastsmtp.loadgen.targets import DEFAULT, parse_label, parse_target


def _template(text: str) -> str:
    bare = text.replace("{n}", "1").replace("{r}", "1")
    if any(character in bare for character in "<>{}\r\n ") or not bare.isascii():
        raise ValueError(f"{text!r} is not an address in which only {{n}} and {{r}} stand for numbers")
    return text


@click.command("bench")
@click.argument("targets", nargs=-1, metavar="[HOST:PORT]...", type=Parsed("target", parse_target))
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="NAME=HOST:PORT",
    type=Parsed("label", parse_label),
    help="A target with a name for the report; may be repeated.",
)
@click.option("-s", "--sessions", default=20, show_default=True, type=click.IntRange(1, 100_000))
@click.option(
    "-m",
    "--messages",
    type=click.IntRange(1),
    help="Messages in all [default: 10000, or no end with --duration].",
)
@click.option(
    "--duration", type=click.FloatRange(0.1), metavar="SECONDS", help="Begin no message after that."
)
@click.option(
    "--size",
    "mix",
    default="4k",
    show_default=True,
    metavar="SIZE|MIX",
    type=Parsed("size", parse_mix),
    help="Octets of a message, or a mix with weights such as 4k:80,100k:15,10m:5.",
)
@click.option(
    "--kept/--per-connection", default=False, help="Many messages a connection, or one [default: one]."
)
@click.option("--pipelining", is_flag=True, help="Send a transaction's commands in one piece.")
@click.option("--bdat", is_flag=True, help="Send bodies by BDAT instead of DATA.")
@click.option(
    "--tls", "tls", flag_value="tls", help="TLS from the start, as on port 465; nothing is verified."
)
@click.option("--starttls", "tls", flag_value="starttls", help="TLS by STARTTLS.")
@click.option("--resume", is_flag=True, help="Resume TLS sessions instead of full handshakes.")
@click.option("--auth", "user", metavar="USER", help="Log in in each connection, under TLS.")
@click.option("--password-file", type=click.Path(path_type=Path), help="Holds USER's password, in one line.")
@click.option(
    "--mechanism",
    type=click.Choice(list(MECHANISMS), case_sensitive=False),
    help="Of the login [default: PLAIN].",
)
@click.option(
    "--rcpt", "recipients", default=1, show_default=True, type=click.IntRange(1, 1000), help="A message."
)
@click.option(
    "--from", "sender", default="bench@localhost", show_default=True, type=Parsed("address", _template)
)
@click.option(
    "--to",
    "recipient",
    default="bench@localhost",
    show_default=True,
    type=Parsed("address", _template),
    help="{n} is the message's number, {r} the recipient's: user{n}@example.org.",
)
@click.option("--users", type=click.IntRange(1), help="Let {n} run from 0 to this less one, again and again.")
@click.option(
    "--rate",
    type=click.FloatRange(0.001),
    help="Open loop: begin so many messages a second; latency counts from the intended start.",
)
@click.option(
    "--rounds", default=1, show_default=True, type=click.IntRange(1, 1000), help="Visits to each target."
)
@click.option("--processes", type=click.IntRange(1, 1024), help="Sending processes [default: CPU count].")
@click.option(
    "--timeout", default=60.0, show_default=True, type=click.FloatRange(0.1), help="Seconds a message."
)
@click.option(
    "--target-pid",
    "pids",
    multiple=True,
    type=click.IntRange(1),
    help="The server's process, for CPU and memory [default: found by its listening socket].",
)
@click.option(
    "--durability",
    help="What the report says about the servers' durability [default: that it is not stated].",
)
@click.option("--remote", is_flag=True, help="Allow targets that are not on a loopback address.")
@click.option("--json", "json_file", metavar="FILE|-", help="Write the report as JSON.")
@click.option("--html", "html_file", metavar="FILE", help="Write the report as one self-contained page.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")
def command(
    targets: tuple[Target, ...],
    labels: tuple[Target, ...],
    sessions: int,
    messages: int | None,
    duration: float | None,
    mix: tuple[Share, ...] | str,
    kept: bool,
    pipelining: bool,
    bdat: bool,
    tls: Tls | None,
    resume: bool,
    user: str | None,
    password_file: Path | None,
    mechanism: str | None,
    recipients: int,
    sender: str,
    recipient: str,
    users: int | None,
    rate: float | None,
    rounds: int,
    processes: int | None,
    timeout: float,
    pids: tuple[int, ...],
    durability: str | None,
    remote: bool,
    json_file: str | None,
    html_file: str | None,
    quiet: bool,
) -> int:
    """Measure SMTP servers under load, and compare them.

    Several targets are visited in turn, round after round; medians are given, and ratios to the first.
    Without a target: 127.0.0.1:2525.

    \b
    Examples:
      fastsmtp bench --messages 20000
      fastsmtp bench --kept --rate 5000 --duration 30 --html report.html
      fastsmtp bench --label new=127.0.0.1:2525 --label old=127.0.0.1:2526 --rounds 5
      fastsmtp bench 127.0.0.1:587 --starttls --auth me@example.org --password-file FILE --from me@example.org
    """
    chosen = [*targets, *labels] or [parse_target(DEFAULT)]
    _check(chosen, remote, recipients, recipient, pids)
    login = _login(user, password_file, mechanism, tls, resume)
    files = [Path(name) for name in (json_file, html_file) if name and name != "-"]
    _stop_if([problem for file in files if (problem := _unwritable(file))])
    if messages is None and duration is None:
        messages = 10_000
    plan = Plan(
        target=chosen[0],
        sessions=sessions,
        messages=messages,
        duration=duration,
        rate=rate,
        processes=min(processes or len(os.sched_getaffinity(0)), sessions),
        mix=parse_mix(mix) if isinstance(mix, str) else mix,
        kept=kept,
        pipelining=pipelining,
        chunking=bdat,
        recipients=recipients,
        sender=sender,
        recipient=recipient,
        users=users,
        timeout=timeout,
        tls=tls,
        resume=resume,
        login=login,
    )
    try:
        made = benchmark(
            plan,
            chosen,
            rounds=rounds,
            pids=pids,
            durability=durability,
            command=shlex.join(["fastsmtp", *sys.argv[1:]]),
            watcher=_watcher(plan, quiet),
        )
    except BenchmarkError as error:
        raise Stop(os.EX_UNAVAILABLE if error.unreachable else os.EX_OSERR, f"bench: {error}") from None
    _write(made, json_file, html_file)
    if made.interrupted:
        raise Stop(exits.INTERRUPTED, "bench: interrupted; the report counts what was sent until then")
    if not any(one.sent for target in made.targets for one in target.rounds):
        raise Stop(os.EX_PROTOCOL, "bench: no message was accepted; the replies are in the report")
    return os.EX_OK


def _check(
    chosen: list[Target], remote: bool, recipients: int, recipient: str, pids: tuple[int, ...]
) -> None:
    """Ends the program when the options do not go together."""
    for target in chosen:
        if not target.loopback and not remote:
            raise Stop(
                os.EX_USAGE,
                f"bench: {target.address} is not on this machine; a load test of a server that is not yours is an "
                "attack: say --remote if it is yours",
            )
    names = [target.name for target in chosen]
    if len(set(names)) < len(names):
        raise Stop(os.EX_USAGE, "bench: two targets have the same name; tell them apart by --label")
    if recipients > 1 and "{r}" not in recipient:
        raise Stop(
            os.EX_USAGE, f"bench: with --rcpt {recipients}, --to needs {{r}}, such as user{{r}}@localhost"
        )
    if pids and len(chosen) > 1:
        raise Stop(os.EX_USAGE, "bench: --target-pid goes with one target only")


def _login(
    user: str | None, password_file: Path | None, mechanism: str | None, tls: Tls | None, resume: bool
) -> Login | None:
    """Who logs in; ends the program when the options do not go together."""
    if resume and tls is None:
        raise Stop(os.EX_USAGE, "bench: --resume goes with --tls or --starttls")
    if user is None:
        if password_file is not None or mechanism is not None:
            raise Stop(os.EX_USAGE, "bench: --password-file and --mechanism go with --auth USER")
        return None
    if tls is None:
        raise Stop(
            os.EX_USAGE, "bench: --auth goes with --tls or --starttls: a password is not sent in clear"
        )
    if password_file is None:
        raise Stop(os.EX_USAGE, "bench: --auth needs --password-file FILE")
    try:
        password = password_file.read_text("utf-8").removesuffix("\n").removesuffix("\r")
    except OSError as error:
        raise Stop(os.EX_NOINPUT, f"bench: cannot read {password_file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise Stop(os.EX_DATAERR, f"bench: {password_file} is not UTF-8") from None
    if not password or any(character in password + user for character in "\0\r\n"):
        raise Stop(os.EX_DATAERR, f"bench: {password_file} does not hold one line with a password")
    return Login(user, password, mechanism or "PLAIN")


def _watcher(plan: Plan, quiet: bool) -> Callable[[str], tuple[Watch, Callable[[], None]]]:
    def watch(title: str) -> tuple[Watch, Callable[[], None]]:
        if quiet:
            return (lambda elapsed, sent, failed: None), (lambda: None)
        progress = LoadProgress(title, sys.stderr, plan.messages, plan.duration)
        return progress.update, progress.clear

    return watch


def _write(made: report.Report, json_file: str | None, html_file: str | None) -> None:
    """Prints the table, unless standard output is wanted for JSON, and writes the files."""
    written = [(json_file, report.to_json(made))] if json_file and json_file != "-" else []
    written += [(html_file, html.to_html(made).encode())] if html_file else []
    click.echo((report.to_json(made).decode() if json_file == "-" else report.to_text(made)).rstrip())
    problems = []
    for name, content in written:
        try:
            Path(str(name)).write_bytes(content)
            click.echo(f"bench: wrote {name}", err=True)
        except OSError as error:
            problems.append(f"bench: cannot write {name}: {error.strerror}")
    _stop_if(problems)


def _unwritable(file: Path) -> str | None:
    """Why ``file`` could not be written, asked before an hour of measuring; None when it can be."""
    try:
        new = not file.exists()
        if new or file.is_file() or file.is_dir():  # a pipe would take the mere asking for an end
            file.open("ab").close()
        if new:
            file.unlink()
    except OSError as error:
        return f"bench: cannot write {file}: {error.strerror}; nothing was measured"
    return None


def _stop_if(problems: list[str]) -> None:
    if problems:
        raise Stop(os.EX_CANTCREAT, *problems)
