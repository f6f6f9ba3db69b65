"""Load with a memory: every message is different, and what the server said about each is kept."""

import random
import threading
import time
from dataclasses import dataclass, field

from tests.tools.arrived import digest
from tests.tools.wire import Gone, Wire, stuffed


@dataclass
class Sent:
    """One message as its sender knows it: ``queue_id`` is empty until a 250 came. ``began`` and ``ended`` (MAIL
    and the last reply) are seconds of the steady clock."""

    token: str
    digest: str
    size: int
    mailboxes: tuple[str, ...]
    queue_id: str = ""
    refused: str = ""
    began: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True)
class Mix:
    """What the load is made of: one message in ``large_every`` has ``large`` bytes, the others up to
    ``small``; each goes to one to ``most_recipients`` of ``mailboxes``. Each session rests for ``rest`` seconds
    after a message, and ends after ``messages`` of them; 0: it goes on until it is stopped."""

    mailboxes: tuple[str, ...]
    small: int = 6_000
    large: int = 200_000
    large_every: int = 25
    most_recipients: int = 3
    per_connection: int = 10
    chunked_every: int = 4
    rest: float = 0.0
    messages: int = 0


def content(token: str, size: int, chance: random.Random) -> bytes:
    """A message of about ``size`` bytes: unique, 8-bit, with dots where they hurt."""
    head = f"Subject: {token}\r\nFrom: <sender@client.example>\r\n\r\n.begins with a dot\r\n..\r\n.\r\n"
    filler = chance.randbytes(min(size, 3000)).replace(b"\r", b"-").replace(b"\n", b"\r\n.")
    filler = filler.replace(b"\0", b"0")
    body = filler * (1 + size // max(1, len(filler)))
    return head.encode() + body[: max(0, size - len(head))].rstrip(b"\r") + b"\r\n"


@dataclass
class Load:
    """``sessions`` threads that send until `stop`, and connect anew whenever the server goes away.

    ``port`` may be changed while it runs. ``sent`` holds everything that was at least begun to be sent.
    """

    address: tuple[str, int]
    mix: Mix
    sessions: int = 6
    seed: int = 1
    timeout: float = 30.0
    parameters: str = ""
    sent: list[Sent] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Sessions that were refused, or ended by the server."""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Start all sessions."""
        for number in range(self.sessions):
            thread = threading.Thread(target=self._run, args=(number,), name=f"load {number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End after the messages now under way."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(self.timeout + 5)
            assert not thread.is_alive(), f"{thread.name} does not come to an end"
        assert not self.faults, self.faults

    def finish(self) -> None:
        """Return when each session has sent its messages."""
        for thread in self._threads:
            thread.join()
        assert not self.faults, self.faults

    @property
    def accepted(self) -> list[Sent]:
        """All messages that were answered 250."""
        return [each for each in list(self.sent) if each.queue_id]

    def _over(self, count: int) -> bool:
        return self._stopping.is_set() or 0 < self.mix.messages <= count

    def _run(self, number: int) -> None:
        chance = random.Random(self.seed * 1000 + number)
        count = 0
        while not self._over(count):
            try:
                with Wire(self.address, timeout=self.timeout) as wire:
                    assert wire.banner is not None
                    if wire.banner.code != 220 or wire.command("EHLO client.example").code != 250:
                        self.lost.append(f"session {number}: {wire.banner}")
                        time.sleep(0.02)
                        continue
                    for _ in range(self.mix.per_connection):
                        if self._over(count):
                            break
                        count += 1
                        if not self._one(wire, f"load-{self.seed}-{number}-{count}", count, chance):
                            self.lost.append(f"session {number}: ended at message {count}")
                            break
                        if self.mix.rest:
                            self._stopping.wait(self.mix.rest)
            except (Gone, OSError) as error:
                self.lost.append(f"session {number}: {error!r} at message {count}")
                time.sleep(0.02)
            except AssertionError as error:
                self.faults.append(f"session {number}: {error}")
                return

    def _one(self, wire: Wire, token: str, count: int, chance: random.Random) -> bool:
        """Send one message; False when the session must end."""
        mix = self.mix
        large = mix.large_every and count % mix.large_every == 0
        body = content(token, mix.large if large else chance.randint(200, mix.small), chance)
        most = min(mix.most_recipients, len(mix.mailboxes))
        mailboxes = tuple(chance.sample(mix.mailboxes, chance.randint(1, most)))
        note = Sent(token, digest(body), len(body), mailboxes, began=time.monotonic())
        chunked = mix.chunked_every and count % mix.chunked_every == 0
        group = f"MAIL FROM:<sender@client.example> BODY=8BITMIME{self.parameters}\r\n".encode()
        group += b"".join(f"RCPT TO:<{each}>\r\n".encode() for each in mailboxes)
        if chunked:
            half = len(body) // 2
            self.sent.append(note)
            wire.send(group + f"BDAT {half}\r\n".encode() + body[:half])
            wire.send(f"BDAT {len(body) - half} LAST\r\n".encode() + body[half:])
            answers = [wire.answer() for _ in range(len(mailboxes) + 2)]
        else:
            wire.send(group + b"DATA\r\n")
            answers = []
            for _ in range(len(mailboxes) + 1):
                answers.append(wire.answer())
                if answers[-1].code == 421:
                    return False
            if wire.answer().code != 354:
                note.refused = str(answers[0])
                self.sent.append(note)
                wire.expect("RSET", "250")
                return True
            self.sent.append(note)
            wire.send(stuffed(body))
        final = wire.answer()
        note.ended = time.monotonic()
        if final.code == 250:
            note.queue_id = final.queue_id
        else:
            note.refused = str(next(each for each in [*answers, final] if each.code >= 400))
        return final.code != 421
