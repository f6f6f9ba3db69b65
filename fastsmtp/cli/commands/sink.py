"""``fastsmtp sink``: swallows mail."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import orjson

from fastsmtp.cli.options import Stop, json_option
from fastsmtp.cli.parsed import Parsed
from fastsmtp.loadgen import sink
from fastsmtp.loadgen.plan import Target
from fastsmtp.loadgen.sinkplan import STAGES, SinkCounts, SinkPlan, parse_delay, parse_refuse, parse_stage
from fastsmtp.loadgen.targets import parse_listen

if TYPE_CHECKING:
    from fastsmtp.tls.store import CertificateStore

DEFAULT = "127.0.0.1:2526"


@click.command("sink")
@click.option(
    "--listen",
    "address",
    default=DEFAULT,
    show_default=True,
    metavar="HOST:PORT",
    type=Parsed("address", parse_listen),
    help="Port 0: one that is free, printed at the start.",
)
@click.option("--processes", type=click.IntRange(1, 1024), help="Processes [default: CPU count].")
@click.option(
    "--refuse",
    multiple=True,
    metavar="STAGE='CODE TEXT'",
    type=Parsed("refusal", parse_refuse),
    help=f"Refuse at a stage: {', '.join(STAGES)}; may be repeated.",
)
@click.option(
    "--delay",
    multiple=True,
    metavar="STAGE=SECONDS",
    type=Parsed("delay", parse_delay),
    help="Wait before the answer at a stage; may be repeated.",
)
@click.option(
    "--drop",
    multiple=True,
    metavar="STAGE",
    type=Parsed("stage", parse_stage),
    help="Cut the connection instead of an answer; may be repeated.",
)
@click.option("--size", default=0, type=click.IntRange(0), help="Largest message in octets [default: any].")
@click.option(
    "--tls-cert", "cert", type=click.Path(path_type=Path), help="Offer STARTTLS with this certificate."
)
@click.option("--tls-key", "key", type=click.Path(path_type=Path), help="Its private key.")
@click.option("--count", is_flag=True, help="Show running counts on standard error.")
@click.option("--remote", is_flag=True, help="Allow an address that is not a loopback one.")
@json_option()
def command(
    address: Target,
    processes: int | None,
    refuse: tuple[tuple[str, tuple[int, str]], ...],
    delay: tuple[tuple[str, float], ...],
    drop: tuple[str, ...],
    size: int,
    cert: Path | None,
    key: Path | None,
    count: bool,
    remote: bool,
    as_json: bool,
) -> int:
    """Take mail and throw it away, fast, slowly or rudely, until SIGTERM or Ctrl-C; then show counts.

    \b
    Examples:
      fastsmtp sink
      fastsmtp sink --refuse 'rcpt=450 4.2.0 busy' --delay body=0.5
      fastsmtp sink --listen 127.0.0.1:2600 --drop data --count
      fastsmtp sink --tls-cert cert.pem --tls-key key.pem
    """
    if not address.loopback and not remote:
        raise Stop(
            os.EX_USAGE, f"sink: {address.address} is not a loopback address; say --remote if you mean it"
        )
    plan = SinkPlan(
        host=address.host,
        port=address.port,
        processes=processes or len(os.sched_getaffinity(0)),
        refuse=dict(refuse),
        delay=dict(delay),
        drop=drop,
        size=size,
        certificates=_certificates(cert, key),
    )
    try:
        counts = sink.run(plan, _started, _Counter(count))
    except sink.SinkError as error:
        raise Stop(os.EX_TEMPFAIL if error.taken else os.EX_OSERR, f"sink: {error}") from None
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(counts), option=orjson.OPT_INDENT_2).decode())
    else:
        click.echo(summary(counts))
    return os.EX_OK


def _certificates(cert: Path | None, key: Path | None) -> "CertificateStore | None":
    """The one that is named; ends the program when it cannot be used."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise Stop(os.EX_USAGE, "sink: --tls-cert and --tls-key go together")
    from fastsmtp.tls.certificates import read_pair
    from fastsmtp.tls.pair import CertificateError
    from fastsmtp.tls.settings import CertificateSettings, TlsSettings
    from fastsmtp.tls.store import CertificateStore

    try:
        pair = read_pair(CertificateSettings(cert=str(cert), key=str(key)))
        return CertificateStore(TlsSettings(), [pair])
    except CertificateError as error:
        raise Stop(os.EX_CONFIG, f"sink: {error}") from None


def _started(host: str, port: int) -> None:
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"sink: listening on {shown}:{port}", err=True)


class _Counter:
    """Shows counts once a second."""

    def __init__(self, shown: bool) -> None:
        self._shown = shown
        self._next = 0.0

    def __call__(self, counts: SinkCounts) -> None:
        now = time.monotonic()
        if not self._shown or now < self._next:
            return
        self._next = now + 1.0
        end = "\r" if sys.stderr.isatty() else "\n"
        sys.stderr.write(summary(counts).splitlines()[0] + end)
        sys.stderr.flush()


def summary(counts: SinkCounts) -> str:
    """The counts in words: one line, and one for each stage that refused or dropped."""
    lines = [
        f"{counts.messages:,} messages, {counts.octets:,} octets, {counts.recipients:,} recipients, "
        f"{counts.connections:,} connections, {counts.open:,} open"
    ]
    for word, by_stage in (("refused", counts.refused), ("dropped", counts.dropped)):
        lines += [f"{word} at {stage}: {by_stage[stage]:,}" for stage in STAGES if stage in by_stage]
    return "\n".join(lines)
