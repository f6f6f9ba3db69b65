"""Where the processes of a server write their log, by the ``[log]`` settings."""

import os

from fastsmtp.clock import Clock
from fastsmtp.telemetry import text
from fastsmtp.telemetry.events import Event, encode
from fastsmtp.telemetry.journald import SOCKET, JournalWriter
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.telemetry.meter import Meter
from fastsmtp.telemetry.postfix import PostfixForm, postfix_lines
from fastsmtp.telemetry.settings import LogSettings
from fastsmtp.telemetry.stream import Form, StreamWriter, Writer, json_form
from fastsmtp.telemetry.text import TextForm

_MODE = 0o640


class LogPlace:
    """Made by the master, which has the right to open the file; its children write by the same descriptor. Raises
    OSError when the file cannot be opened."""

    def __init__(self, settings: LogSettings, hostname: str) -> None:
        self._settings = settings
        self._hostname = hostname
        self._fd = 2 if settings.file is None else self._open()

    def log(self, clock: Clock, slot: int | None, meter: Meter | None = None) -> MailLog:
        """The log of this process; see `MailLog`."""
        return MailLog(clock, slot=slot, writer=self._writer(), meter=meter)

    def reopen(self) -> int | None:
        """Open the file anew, by its name; the descriptor that each child's log is to be given too, None where the
        log is no file. Raises OSError, and the old file stays in use."""
        if self._settings.file is None:
            return None
        made = self._open()
        os.dup2(made, self._fd, inheritable=False)
        os.close(made)
        return self._fd

    def _open(self) -> int:
        return os.open(str(self._settings.file), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)

    def _writer(self) -> Writer:
        kind, _, path = self._settings.to.partition(":")
        if kind == "journald":
            return JournalWriter(_WORDS[self._settings.format], path or SOCKET)
        return StreamWriter(self._fd, self._form())

    def _form(self) -> Form:
        if self._settings.format == "json":
            return json_form
        return PostfixForm(self._hostname) if self._settings.format == "postfix" else TextForm()


def _text(event: Event) -> list[tuple[str, str]]:
    return [("fastsmtp", text.text(event))]


def _json(event: Event) -> list[tuple[str, str]]:
    return [("fastsmtp", encode([event]).decode("utf-8").rstrip("\n"))]


def _postfix(event: Event) -> list[tuple[str, str]]:
    return [(f"postfix/{program}", words) for program, words in postfix_lines(event)]


_WORDS = {"text": _text, "json": _json, "postfix": _postfix}
