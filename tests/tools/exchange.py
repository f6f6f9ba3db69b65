"""Another host's mail server for the crash tests: it keeps a note of each message that it has said 250 to."""

import contextlib
import random
import re
import socket
import threading
from collections import defaultdict
from typing import IO

from tests.fakes.relay_office import notices_in
from tests.system.server import free_port
from tests.tools.arrived import digest

_RECEIVED = re.compile(rb"Received: from [^\r]*\r\n(?:[ \t][^\r]*\r\n)*")
_NOTICE_ID = re.compile(rb"^Message-ID: (\S+)\r$", re.MULTILINE | re.IGNORECASE)
_TOKEN = re.compile(rb"^Subject: (load-\S+)\r$", re.MULTILINE)


class Exchange:
    """Takes what it is sent, but for ``bad`` recipients, and puts off some others by chance.

    ``taken`` has the lives in which a message began to come, by the hash of its content, or a notice's Message-ID,
    and the recipient; ``told`` the ids of notices by the message's token, the recipient and what has become of him.
    ``life`` is raised by the test when the server was killed.
    """

    def __init__(self, seed: int = 1) -> None:
        self.port = free_port()
        self.life = 0
        self.grey = 0.2
        self.taken: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.told: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    def start(self) -> None:
        """Take connections from now on."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=100)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Nobody is there any more: whoever is connected is cut off."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    @property
    def idle(self) -> bool:
        """Whether nobody is connected."""
        with self._lock:
            return not self._open

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb", buffering=65536) as lines:
                connection.settimeout(60)
                self._session(connection, lines)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(connection)

    def _session(self, connection: socket.socket, lines: IO[bytes]) -> None:
        recipients: list[str] = []

        def say(text: str) -> None:
            connection.sendall(text.encode() + b"\r\n")

        say("220 far.test ESMTP")
        while line := lines.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                say("250-far.test\r\n250-8BITMIME\r\n250 PIPELINING")
            elif verb == b"RCPT":
                address = line.split(b"<")[1].split(b">")[0].decode()
                said = self._judge(address)
                if said[0] == "2":
                    recipients.append(address)
                say(said)
            elif verb == b"DATA":
                if not recipients:
                    say("554 5.5.1 nobody wants it")
                    continue
                life = self.life
                say("354 go on")
                content = self._content(lines)
                if content is None:
                    return
                self._note(content, recipients, life)
                say("250 2.0.0 taken")
                recipients = []
            elif verb == b"QUIT":
                say("221 2.0.0 bye")
                return
            else:
                recipients = []
                say("250 2.0.0 fine")

    def _judge(self, address: str) -> str:
        if address.startswith("bad"):
            return "550 5.1.1 nobody of that name"
        with self._lock:
            later = self._chance.random() < self.grey
        return "451 4.7.1 later" if later else "250 2.1.5 fine"

    @staticmethod
    def _content(lines: IO[bytes]) -> bytes | None:
        content = bytearray()
        while line := lines.readline():
            if line == b".\r\n":
                return bytes(content)
            content += line[1:] if line.startswith(b".") else line
        return None

    def _note(self, content: bytes, recipients: list[str], life: int) -> None:
        notices = notices_in(content)
        token = _TOKEN.search(content)
        with self._lock:
            if notices:
                assert token, content
                found = _NOTICE_ID.search(content)
                assert found, content
                mark = found[1].decode()
                for about, action in notices:
                    self.told[token[1].decode(), about, action].add(mark)
            else:
                field = _RECEIVED.match(content)
                mark = digest(content[field.end() :] if field else b"")
            for address in recipients:
                self.taken[mark, address].append(life)
