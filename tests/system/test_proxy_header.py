"""Headers of the PROXY protocol over real sockets, without a proxy: in pieces, with what real ones add, broken, and
with the client's first words in one packet."""

import smtplib
import socket
import ssl
from collections.abc import Iterator

import pytest

from tests.fakes.tls_client import client_context
from tests.system.server import free_port
from tests.tools.chains import Issued
from tests.tools.site import Site, site
from tests.tools.tls_pairs import write_pair
from tests.tools.wire import Gone, Wire

PROXY, STRANGER, SPEAKER = "127.0.0.3", "127.0.0.6", "203.0.113.7"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
CLIENT, MX = bytes([203, 0, 113, 9]), bytes([192, 0, 2, 2])
V6 = bytes.fromhex("20010db8000000000000000000000001")
PORTS = bytes(4)
TLV = b"\x02\x00\x07mx.test" + b"\x04\x00\x03\0\0\0" + b"\x20\x00\x05\x01\0\0\0\0"


def version_2(family: int, rest: bytes, *, command: int = 0x21) -> bytes:
    """A header."""
    return SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2, "big") + rest


def for_client(address: str) -> bytes:
    """A header of version 1."""
    return b"PROXY TCP4 %b 192.0.2.2 4711 25\r\n" % address.encode()


V4 = CLIENT + MX + PORTS
GOOD = {
    "version 1": (for_client("203.0.113.9"), "203.0.113.9"),
    "version 1, IPv6": (b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 25\r\n", "2001:db8::1"),
    "version 1, UNKNOWN": (b"PROXY UNKNOWN ffff::1 ffff::2 4711 25\r\n", PROXY),
    "version 2": (version_2(0x11, V4), "203.0.113.9"),
    "version 2, IPv6 and more": (version_2(0x21, V6 + V6 + PORTS + TLV), "2001:db8::1"),
    "version 2, LOCAL": (version_2(0x00, b"", command=0x20), PROXY),
    "version 2, LOCAL with an address": (version_2(0x11, V4, command=0x20), PROXY),
    "version 2, of a Unix socket": (version_2(0x31, bytes(216)), PROXY),
    "version 2, longest": (version_2(0x11, V4 + bytes(2048 - 28)), "203.0.113.9"),
}
BAD = {
    "version 1 without end": (b"PROXY TCP4 " + b"1" * 200, "a PROXY header without end"),
    "version 1 of no address": (
        b"PROXY TCP4 203.0.113.999 192.0.2.2 1 2\r\n",
        "a PROXY header without an address",
    ),
    "version 2, too long": (version_2(0x11, V4 + bytes(2048)), "a PROXY header that is too long"),
    "version 2, cut in the address": (version_2(0x21, V6), "a PROXY header without an address"),
    "version 3": (SIGNATURE + b"\x31\x11\x00\x0c", "a PROXY header of an unknown version or command"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01", "no header of the PROXY protocol"),
}


@pytest.fixture(scope="module")
def secured() -> int:
    """The port of the listener with TLS from the start."""
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, secured: int) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("proxied")
    pair = write_pair(folder / "tls", Issued("mx.example.org"))
    plain = free_port()
    front = {"proxy": [PROXY], "xclient": [SPEAKER]}
    with site(
        folder,
        workers=1,
        listeners=[
            {"address": f"127.0.0.1:{plain}", **front},
            {"address": f"127.0.0.1:{secured}", "protocol": "submissions", **front},
        ],
        tls={"certificates": [{"cert": pair.cert, "key": pair.key}]},
        accounts={"backend": "embedded"},
    ) as running:
        running.address = ("127.0.0.1", plain)
        yield running


def opened(server: Site, source: str = PROXY) -> Wire:
    """A connection on which nothing was said."""
    return Wire(server.address, source=source, banner=False)


def who(server: Site, wire: Wire) -> str:
    """For whom the server takes it: what the log has when it refuses to relay."""
    assert wire.answer().code == 220
    assert wire.hello().code == 250
    wire.expect("MAIL FROM:<a@client.example>", "250")
    to = f"u{wire.socket.getsockname()[1]}@far.test"
    wire.expect(f"RCPT TO:<{to}>", "550 5.7.1")
    server.wait_log(f"rejected .*{to}")
    [line] = [line for line in server.log.splitlines() if to in line]
    return line.partition("client=")[2].split()[0]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("cut", [False, True])
def test_for_whom_it_comes(server: Site, name: str, cut: bool) -> None:
    header, client = GOOD[name]
    with opened(server) as wire:
        for piece in [header[i : i + 1] for i in range(len(header))] if cut else [header]:
            wire.send(piece)
        assert who(server, wire) == client


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_header(server: Site, name: str) -> None:
    data, why = BAD[name]
    line = f'closed client={PROXY} reason="of a proxy: {why}"'
    before = server.log.count(line)
    with opened(server) as wire:
        wire.send(data)
        with pytest.raises(Gone):
            wire.answer()
    server.wait_log(f"(?s)(.*{line}){{{before + 1}}}")


@pytest.mark.parametrize("name", GOOD)
def test_a_stranger_brings_one(server: Site, name: str) -> None:
    with opened(server, STRANGER) as wire:
        assert wire.answer().code == 220
        wire.send(GOOD[name][0])
        assert wire.answer().brief == "554 5.5.1"
        assert wire.at_end()


@pytest.mark.parametrize("name", ["version 1", "version 2, IPv6 and more"])
def test_tls_in_one_packet_with_the_header(server: Site, secured: int, name: str) -> None:
    inside, outside = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context().wrap_bio(inside, outside, server_hostname="mx.example.org")
    said, greeting = GOOD[name][0], b""
    with socket.create_connection(("127.0.0.1", secured), 10, source_address=(PROXY, 0)) as raw:
        while not greeting:
            try:
                greeting = client.read(100)
            except ssl.SSLWantReadError:
                raw.sendall(said + outside.read())
                said = b""
                inside.write(raw.recv(65536))
    assert greeting.startswith(b"220 ")


def test_a_second_header_is_the_client_s(server: Site) -> None:
    """Of one that would be another by it: it has spoken before the banner."""
    with opened(server) as wire:
        wire.send(for_client("203.0.113.9") + for_client("127.0.0.1"))
        assert wire.answer().brief == "554 5.5.1"
        assert wire.at_end()


def test_xclient_is_for_the_client_of_the_header(server: Site) -> None:
    with opened(server) as wire:
        wire.send(for_client(SPEAKER))
        assert wire.answer().code == 220
        assert "XCLIENT" in str(wire.hello())
        wire.send(b"XCLIENT ADDR=198.51.100.4\r\n")
        assert who(server, wire) == "198.51.100.4"
    with opened(server) as wire:
        wire.send(for_client("203.0.113.8"))
        assert wire.answer().code == 220
        assert "XCLIENT" not in str(wire.hello())
        wire.expect("XCLIENT ADDR=127.0.0.1", "500 5.5.2")
    with smtplib.SMTP(*server.address, source_address=(STRANGER, 0)) as client:
        assert client.docmd("XCLIENT", "ADDR=127.0.0.1")[0] == 500
