"""What the sending client's protocol costs by itself, without sockets: transactions of 4 KB with a canned server.

    .venv/bin/python -m bench.micro.outgoing_protocol [TRANSACTIONS]

Prints microseconds of the processor, the best of five rounds, for the compiled client and its plain twin (a hundredth
of the transactions), and for the body's writer.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from fastsmtp._core import outgoing as compiled
from fastsmtp._core.stuff import BodyWriter
from fastsmtp.mail.envelope import Recipient
from fastsmtp.smtp import outgoing as plain
from fastsmtp.smtp.outgoing_values import Event

ROUNDS = 5
LINE = b"y" * 76 + b"\r\n"
BODY = b"Subject: x\r\n\r\n" + LINE * 52
TO = [Recipient("b1@there.test", "")]
OK = b"250 2.0.0 Ok: queued as 4XyZ123abc\r\n"
GO_ON = b"354 End data with <CR><LF>.<CR><LF>\r\n"
EHLO = b"250-mx\r\n%s250-SIZE 10240000\r\n250 8BITMIME\r\n"

SERVERS: dict[str, tuple[bytes, Sequence[bytes]]] = {
    "one by one": (EHLO % b"", [OK, OK, GO_ON, OK]),
    "PIPELINING": (EHLO % b"250-PIPELINING\r\n", [OK + OK + GO_ON, OK]),
    "CHUNKING": (EHLO % b"250-PIPELINING\r\n250-CHUNKING\r\n", [OK + OK + OK]),
}


def best(work: Callable[[], object], times: int) -> float:
    """Microseconds of the processor for one call of ``work``."""
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(times):
            work()
        found.append((time.process_time() - began) / times * 1e6)
    return min(found)


def sender(make: Any, ehlo: bytes, answers: Sequence[bytes]) -> Callable[[], None]:
    """Does one transaction with each call."""
    client = make(b"me.test")
    client.receive(b"220 mx ESMTP\r\n")
    client.receive(ehlo)

    def transaction() -> None:
        client.begin("a@here.test", TO, None, len(BODY), BODY)
        for answer in answers:
            client.receive(answer)
        if client.event != Event.DONE:
            raise RuntimeError(f"the transaction did not end: {client.trouble}")

    return transaction


def main() -> None:
    """Print the figures."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for name, (ehlo, answers) in SERVERS.items():
        fast = best(sender(compiled.OutgoingProtocol, ehlo, answers), times)
        slow = best(sender(plain.OutgoingProtocol, ehlo, answers), max(1, times // 100))
        print(f"{name:12} {fast:8.2f} us compiled {slow:8.1f} us plain")
    for name, body in (("4 KB", BODY), ("100 KB", LINE * 1280), ("4 KB of dots", b".x\r\n" * 1024)):
        writer = BodyWriter()
        print(
            f"{name:12} {best(lambda writer=writer, body=body: writer.write(body), times):8.2f} us to write"
        )


if __name__ == "__main__":
    main()
