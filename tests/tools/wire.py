"""A raw SMTP client: it sends exactly the bytes it is given and checks the form of every reply."""

import re
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_LINE = re.compile(rb"([2-5][0-9][0-9])([ -])(.*)")
_STATUS = re.compile(r"([245])\.[0-9]{1,3}\.[0-9]{1,3}(?: |$)")
_QUEUED = re.compile(r"2\.0\.0 queued as ([0-9A-Za-z]{10,})")


@dataclass(frozen=True)
class Answer:
    """One whole reply."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The first line's text, with its enhanced status."""
        return self.lines[0]

    @property
    def status(self) -> str:
        """The enhanced status, such as ``5.1.1``; empty without one."""
        found = _STATUS.match(self.lines[0])
        return found.group(0).strip() if found else ""

    @property
    def queue_id(self) -> str:
        """The queue id of an accepted message; fails when this is not the reply to an accepted one."""
        found = _QUEUED.fullmatch(self.lines[0])
        assert self.code == 250, f"not an acceptance: {self}"
        assert found, f"no queue id of ten or more letters and digits: {self}"
        return found.group(1)

    @property
    def brief(self) -> str:
        """Code and enhanced status, such as ``552 5.3.4``."""
        return f"{self.code} {self.status}".strip()

    def __str__(self) -> str:
        return f"{self.code} {' / '.join(self.lines)}"


class Gone(ConnectionError):
    """The server closed or reset the connection where a reply was awaited."""


class Wire:
    """One connection. Every wait is bounded by ``timeout`` seconds."""

    def __init__(
        self, address: tuple[str, int], *, timeout: float = 10.0, source: str = "", banner: bool = True
    ) -> None:
        self._rest = b""
        self.socket = socket.create_connection(
            address, timeout=timeout, source_address=(source, 0) if source else None
        )
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.banner: Answer | None = None
        if banner:
            try:
                self.banner = self.answer()
            except BaseException:
                self.socket.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send these bytes, all of them."""
        self.socket.sendall(data)

    def half_close(self) -> None:
        """Say that no more bytes will come; replies can still be read."""
        self.socket.shutdown(socket.SHUT_WR)

    def _line(self) -> bytes:
        while b"\n" not in self._rest:
            try:
                piece = self.socket.recv(65536)
            except TimeoutError:
                raise AssertionError(f"no reply in time; so far {self._rest!r}") from None
            except ConnectionError as error:
                raise Gone(str(error)) from None
            if not piece:
                raise Gone(f"closed after {self._rest!r}")
            self._rest += piece
        line, self._rest = self._rest.split(b"\n", 1)
        assert line.endswith(b"\r"), f"a reply line without CR: {line!r}"
        assert len(line) < 511, f"a reply line over 512 bytes: {line!r}"
        return line[:-1]

    def answer(self) -> Answer:
        """Read one whole reply; raises `Gone` when the server has closed instead."""
        lines: list[str] = []
        code = 0
        while True:
            line = self._line()
            found = _LINE.fullmatch(line)
            assert found, f"not a reply line: {line!r}"
            assert code in (0, int(found.group(1))), f"two codes in one reply: {line!r} after {code}"
            code = int(found.group(1))
            lines.append(found.group(3).decode("ascii"))
            if found.group(2) == b" ":
                answer = Answer(code, tuple(lines))
                if answer.status:
                    assert answer.status[0] == str(code)[0], f"class and code disagree: {answer}"
                return answer

    def command(self, line: str | bytes) -> Answer:
        """Send one command line (CRLF is added) and read its reply."""
        data = line.encode() if isinstance(line, str) else line
        self.send(data + b"\r\n")
        return self.answer()

    def expect(self, line: str | bytes, brief: str) -> Answer:
        """`command`, and the reply must have this code, or code and enhanced status."""
        answer = self.command(line)
        assert answer.brief == brief or str(answer.code) == brief, f"{line!r}: {answer}, expected {brief}"
        return answer

    def hello(self, name: str = "client.example") -> Answer:
        """EHLO; returns its reply."""
        return self.expect(f"EHLO {name}", "250")

    def at_end(self) -> bool:
        """Whether the server closes the connection without another byte."""
        if self._rest:
            return False
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def rest(self) -> bytes:
        """All bytes until the server closes."""
        data, self._rest = self._rest, b""
        try:
            while piece := self.socket.recv(65536):
                data += piece
        except ConnectionError:
            pass
        return data

    def envelope(self, *recipients: str, sender: str = "sender@client.example", parameters: str = "") -> None:
        """MAIL and RCPT, all of them accepted."""
        self.expect(f"MAIL FROM:<{sender}>{' ' if parameters else ''}{parameters}", "250")
        for recipient in recipients:
            self.expect(f"RCPT TO:<{recipient}>", "250")

    def data(self, stuffed: bytes) -> Answer:
        """DATA, these bytes (dots stuffed, end of data included) and the reply."""
        self.expect("DATA", "354")
        self.send(stuffed)
        return self.answer()

    def message(self, content: bytes, *recipients: str, sender: str = "sender@client.example") -> Answer:
        """One whole transaction; ``content`` ends with CRLF and is dot-stuffed here."""
        self.envelope(*recipients, sender=sender)
        return self.data(stuffed(content))

    def usable(self) -> bool:
        """Whether the session still answers NOOP."""
        return self.command("NOOP").code == 250


def stuffed(content: bytes) -> bytes:
    """Content as it travels in DATA: dots stuffed, end of data added (RFC 5321 §4.5.2)."""
    assert content.endswith(b"\r\n")
    if content.startswith(b"."):
        content = b"." + content
    return content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
