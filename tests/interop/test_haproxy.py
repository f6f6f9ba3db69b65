"""HAProxy in front: clients are who its header says (PROXY protocol, versions 1 and 2), and nobody else may say so.

HAProxy speaks from 127.0.0.3, which the listeners name as their proxy; clients have other addresses of the loopback.
"""

import contextlib
import smtplib
import socket
import ssl
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import require_program
from tests.system.server import free_port
from tests.tools import arrived
from tests.tools.chains import Issued
from tests.tools.site import Site, site
from tests.tools.tls_pairs import write_pair
from tests.tools.waiting import until
from tests.tools.wire import Gone, Wire

PROXY, TRUSTED, STRANGER = "127.0.0.3", "127.0.0.5", "127.0.0.6"
V1 = b"PROXY TCP4 127.0.0.5 127.0.0.1 4321 25\r\n"
V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes([127, 0, 0, 5, 127, 0, 0, 1]) + b"\x10\xe1\0\x19"
HEADERS = pytest.mark.parametrize("header", [V1, V2], ids=["version 1", "version 2"])

_SETTINGS = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""


class Front:
    """The server, and HAProxy's port before each listener, by its name and the header's version."""

    def __init__(self, server: Site, direct: dict[str, int], ports: dict[tuple[str, int], int]) -> None:
        self.server = server
        self.direct = direct
        self.ports = ports

    def wire(self, version: int, client: str) -> Wire:
        """A client of this address, by HAProxy."""
        return Wire(("127.0.0.1", self.ports["smtp", version]), source=client)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    program = require_program("haproxy")
    folder = tmp_path_factory.mktemp("haproxy")
    pair = write_pair(folder / "tls", Issued("mx.example.org"))
    direct = {"smtp": free_port(), "submissions": free_port()}
    ports = {(name, version): free_port() for name in direct for version in (1, 2)}
    text = _SETTINGS
    for (name, version), port in ports.items():
        send = "send-proxy-v2" if version == 2 else "send-proxy"
        text += f"listen {name}{version}\n    bind 127.0.0.1:{port}\n"
        text += f"    server mx 127.0.0.1:{direct[name]} {send} source {PROXY}\n"
    file = folder / "haproxy.cfg"
    file.write_text(text)
    listeners = [
        {"address": f"127.0.0.1:{port}", "protocol": name, "proxy": [PROXY]} for name, port in direct.items()
    ]
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            site(
                folder / "server",
                listeners=listeners,
                relay={"networks": [TRUSTED]},
                accounts={"backend": "embedded"},
                tls={"certificates": [{"cert": pair.cert, "key": pair.key}]},
            )
        )
        proxy = stack.enter_context(
            subprocess.Popen(
                [program, "-db", "-f", str(file)], stderr=subprocess.PIPE, start_new_session=True
            )
        )
        stack.callback(proxy.terminate)
        for port in ports.values():
            until("HAProxy listens", lambda port=port: _listens(port), 60)  # type: ignore[misc]
        yield Front(server, direct, ports)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def taken(server: Site, user: str) -> arrived.Arrived:
    """The one message of this user, which is removed."""
    maildir = server.maildir(user)
    until("the mail is there", lambda: list(maildir.glob("new/*")), 60)
    (mail,) = arrived.messages(maildir)
    mail.path.unlink()
    return mail


@pytest.mark.parametrize("version", [1, 2])
def test_a_client_is_who_the_header_says(front: Front, version: int) -> None:
    with front.wire(version, STRANGER) as wire:
        wire.hello()
        wire.message(b"Subject: x\r\n\r\nHello.\r\n", "bob@example.org")
        assert f"[{STRANGER}]".encode() in taken(front.server, "bob").received
        wire.expect("MAIL FROM:<a@client.example>", "250")
        wire.expect("RCPT TO:<user@far.test>", "550 5.7.1")
    with front.wire(version, TRUSTED) as wire:
        wire.hello()
        wire.expect("MAIL FROM:<a@client.example>", "250")
        wire.expect("RCPT TO:<user@far.test>", "250")


@pytest.mark.parametrize("version", [1, 2])
def test_tls_behind_the_header(front: Front, version: int) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with smtplib.SMTP_SSL(
        "127.0.0.1",
        front.ports["submissions", version],
        timeout=20,
        context=context,
        source_address=(STRANGER, 0),
    ) as client:
        client.ehlo()
        assert client.docmd("MAIL FROM:<alice@example.org>")[0] == 530
        assert client.noop()[0] == 250


@HEADERS
def test_a_client_says_who_it_is(front: Front, header: bytes) -> None:
    """HAProxy's header counts; one that comes from the client behind it is no command."""
    with front.wire(2, STRANGER) as wire:
        wire.send(header)
        assert wire.answer().brief == "554 5.5.1"
        assert wire.at_end()


@HEADERS
def test_a_stranger_says_who_it_is(front: Front, header: bytes) -> None:
    """It is refused, before the banner or after it, and nothing that comes behind the header is done."""
    with Wire(("127.0.0.1", front.direct["smtp"]), source=STRANGER, banner=False) as wire:
        wire.send(header + b"EHLO x.test\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<user@far.test>\r\n")
        *greeting, refusal, end = wire.rest().split(b"\r\n")
    assert end == b""
    assert refusal.startswith(b"554 5.5.1 ")
    assert all(line.startswith(b"220 ") for line in greeting)


def test_the_proxy_says_nothing(front: Front) -> None:
    with Wire(("127.0.0.1", front.direct["smtp"]), source=PROXY, banner=False) as wire:
        wire.send(b"EHLO x.test\r\n")
        with pytest.raises(Gone):
            wire.answer()
    front.server.wait_log(rf'closed client={PROXY} reason="of a proxy: no header')
