"""What the server's dialogue costs by itself, without sockets and without a session: transactions of 4 KB.

    .venv/bin/python -m bench.micro.dialogue [TRANSACTIONS]

Prints microseconds of the processor, the best of nine rounds, for the compiled dialogue and its plain twin (a
hundredth of the transactions).
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from fastsmtp._core import dialog as compiled
from fastsmtp.mail.reply import Reply
from fastsmtp.smtp import server as plain
from fastsmtp.smtp.rules import ServerRules

ROUNDS = 9
RULES = ServerRules(hostname="mx.test", size=100_000, recipients=100, errors=10)
QUEUED = Reply(250, "0.0", "queued as 4XyZ123abc")
MAIL, RCPT = b"MAIL FROM:<a@there.test>\r\n", b"RCPT TO:<b@here.test>\r\n"
BODY = b"Subject: x\r\n\r\n" + (b"y" * 76 + b"\r\n") * 52 + b".\r\n"

CLIENTS: dict[str, Sequence[bytes]] = {
    "one by one": [MAIL, RCPT, b"DATA\r\n", BODY],
    "PIPELINING": [MAIL + RCPT + b"DATA\r\n", BODY],
    "CHUNKING": [MAIL + RCPT + b"BDAT %d LAST\r\n" % (len(BODY) - 3) + BODY[:-3]],
    "100 recipients": [MAIL + RCPT * 100 + b"DATA\r\n", BODY],
}


class Taking:
    """A handler that takes whatever comes."""

    def taken(self, *_: object) -> None:
        """Go on."""

    on_hello = on_mail = on_rcpt = on_data = on_body = on_reset = taken

    def on_body_end(self) -> Reply:
        """Stored at once."""
        return QUEUED


def best(make: Callable[..., Any], said: Sequence[bytes], times: int) -> float:
    """Microseconds of the processor for a client that says ``said``."""
    found = []
    for _ in range(ROUNDS):
        session = make(RULES, Taking())
        session.receive(b"EHLO client.test\r\n")
        began = time.process_time()
        for _ in range(times):
            for piece in said:
                session.receive(piece)
        found.append(time.process_time() - began)
    return min(found) / times * 1e6


def main() -> None:
    """Print the table."""
    times = int(sys.argv[1]) if sys.argv[1:] else 20_000
    print(f"{'':20}{'compiled':>10}{'plain':>10}  µs a transaction")
    for name, said in CLIENTS.items():
        few = best(plain.ServerProtocol, said, max(times // 100, 1))
        print(f"{name:20}{best(compiled.ServerProtocol, said, times):10.2f}{few:10.1f}")


if __name__ == "__main__":
    main()
