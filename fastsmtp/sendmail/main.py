"""``sendmail``, ``mailq``, ``newaliases``: from the command line to an exit code."""

import os
import sys

from fastsmtp.sendmail.failure import Failure
from fastsmtp.sendmail.options import Options, parse

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing takes longer to be imported than all of this
    from typing import NoReturn

HELP = """\
Usage: sendmail [OPTIONS] RECIPIENT...      take a message from standard input
       sendmail -t [OPTIONS]                ... recipients are those of To, Cc and Bcc
       sendmail -bs                         speak SMTP on standard input and output
       mailq                                show the queue (sendmail -bp)
       newaliases                           check the file of aliases (sendmail -bi)

Mail goes into the maildrop, where the server takes it up, at once or when it runs again.

  -f, -r ADDRESS   who sends it, and gets what comes back; '' for nobody
  -F NAME          full name of the sender, for a message without From
  -i, -oi          a line with a single dot is part of the message
  -t               recipients from the header, besides those named here; Bcc is taken out
  -N LIST          notices: never, or some of success,failure,delay    -R full|hdrs    -V ENVELOPE-ID
  -q, -qI ID       try what waits in the queue, or one message, now
  -C FILE          settings of the server, for -bp, -bi and -q (default: /etc/fastsmtp/fastsmtp.toml)
  Accepted and ignored: -B -O -o -v -G -U -m -n -e -h -L -X -p -A -x -c -d -D -M

FASTSMTP_MAILDROP names another maildrop than /var/spool/fastsmtp/maildrop.

Example:
  printf 'Subject: backup\\n\\ndone\\n' | sendmail -i -f backup root alice@example.org
"""


def sendmail() -> "NoReturn":
    """The command ``sendmail``."""
    sys.exit(run("sendmail", sys.argv[1:]))


def mailq() -> "NoReturn":
    """The command ``mailq``."""
    sys.exit(run("mailq", ["-bp", *sys.argv[1:]]))


def newaliases() -> "NoReturn":
    """The command ``newaliases``."""
    sys.exit(run("newaliases", ["-bi", *sys.argv[1:]]))


def run(program: str, arguments: list[str]) -> int:
    """Do what ``arguments`` ask for; the exit code."""
    try:
        code = _run(parse(arguments))
        if sys.stdout is not None:
            sys.stdout.flush()  # what cannot be written is to be known before the end
        return code
    except Failure as failure:
        for line in str(failure).splitlines():
            _say(f"{program}: {line}")
        return failure.code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _close_output()
        return os.EX_OK
    except OSError as error:
        _close_output()
        _say(f"{program}: {error.filename or 'standard output'}: {error.strerror}")
        return os.EX_IOERR
    except Exception as error:
        if os.environ.get("FASTSMTP_TRACE") == "1":
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        _say(f"{program}: {text} ({type(error).__name__}; FASTSMTP_TRACE=1 shows where)")
        return os.EX_SOFTWARE


def _run(options: Options) -> int:
    if options.mode in ("submit", "smtp") and sys.stdin is None:
        raise Failure(os.EX_NOINPUT, "standard input is closed; the message is read from it")
    if options.mode == "smtp" and sys.stdout is None:
        raise Failure(os.EX_IOERR, "standard output is closed; the replies are written to it")
    if options.mode == "submit":
        from fastsmtp.sendmail.submit import submit

        return submit(options, sys.stdin.buffer)
    if options.mode == "smtp":
        from fastsmtp.sendmail.smtp import serve

        return serve(0, 1)
    if options.mode == "queue":
        from fastsmtp.sendmail.queue import show

        return show(options.config)
    if options.mode == "run":
        from fastsmtp.sendmail.queue import retry

        return retry(options.config, options.run, options.recipients)
    if options.mode == "aliases":
        from fastsmtp.sendmail.aliases import check

        return check(options.config)
    if options.mode == "version":
        from fastsmtp import __version__

        print(f"fastsmtp {__version__}")
    else:
        print(HELP, end="")
    return os.EX_OK


def _close_output() -> None:
    """Lest the interpreter flushes into it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _say(line: str) -> None:
    try:
        os.write(2, (line + "\n").encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # nobody reads it
