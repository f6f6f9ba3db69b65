"""``fastsmtp COMMAND``: finds the command, and turns whatever goes wrong into one line and an exit code."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

import fastsmtp
from fastsmtp.cli import exits
from fastsmtp.cli.options import Stop

COMMANDS = {
    "init": "Set up a server for a domain.",
    "serve": "Run the server.",
    "reload": "Let a running server take its settings anew.",
    "upgrade": "Let the installed program take over from the one that runs.",
    "drain": "Let a running server end with its last session.",
    "status": "Show a running server.",
    "check": "Check a settings file.",
    "doctor": "Look for what is wrong, and how to mend it.",
    "route": "Show where mail goes.",
    "user": "Make accounts, give them passwords.",
    "domain": "Say which domains are ours.",
    "alias": "Let addresses stand for others.",
    "queue": "Find mail for other hosts that waits, and act on it.",
    "trace": "Tell what became of a message.",
    "reindex": "Make an index again that was deleted or damaged.",
    "backup": "Copy queue, accounts and settings, while the server runs.",
    "restore": "Put a backup back.",
    "limits": "See who comes up against a limit.",
    "session": "See who talks to the server, and what was said.",
    "top": "Watch what the server does.",
    "metrics": "Print the metrics of the server.",
    "cert": "Look at certificates, or make one for a first try.",
    "bench": "Measure a server under load.",
    "sink": "Swallow mail, slowly or rudely if wished.",
    "version": "Show versions and which core runs.",
}
"""Every command with its help line. Its module, ``commands/NAME.py``, is imported only when it is run."""

TRACE = "FASTSMTP_TRACE"


class ReaderGone(Exception):
    """Whoever read our output has enough of it, such as `head`."""


class LazyGroup(click.Group):
    """Knows its commands by name and imports the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"fastsmtp.cli.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises `ReaderGone`: click itself would take that for a failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise ReaderGone from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, without importing any command."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(fastsmtp.__version__, prog_name="fastsmtp")
def group() -> None:
    """An SMTP server with a compiled hot path.

    \b
    Example:
      fastsmtp serve                          listen on 127.0.0.1:2525, mail goes below ./var
      fastsmtp serve -c /etc/fastsmtp/fastsmtp.toml
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line (default: that of the process) and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; nothing is raised unless FASTSMTP_TRACE=1 asks for
    it."""
    try:
        result = group.main(arguments, prog_name="fastsmtp", standalone_mode=False)
        return result if isinstance(result, int) else os.EX_OK
    except Stop as stop:
        for line in stop.lines:
            click.echo(f"fastsmtp: {line}", err=True)
        return stop.code
    except click.UsageError as error:
        error.show()
        return os.EX_USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return exits.INTERRUPTED
    except ReaderGone:
        # Keep the interpreter from flushing into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return os.EX_OK
    except Exception as error:
        if os.environ.get(TRACE) == "1":
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        click.echo(f"fastsmtp: {text} ({type(error).__name__}; {TRACE}=1 shows where)", err=True)
        return os.EX_SOFTWARE
