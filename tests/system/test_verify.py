"""Recipients that live behind another server: asked for at RCPT, by the real program over real sockets."""

import smtplib
import socket
from pathlib import Path
from typing import Any

from tests.fakes.scripted_peer import Act, ScriptedPeer
from tests.system.server import RunningServer, free_port, wait_until

NO = "550 5.1.1 nobody of that name"


def server(folder: Path, port: int, **verify: Any) -> RunningServer:
    """corp.test lives at ``port``; one worker, so that there is one memory."""
    return RunningServer(
        folder,
        workers=1,
        relay={"domains": ["corp.test"], "recipients": "verify"},
        routes=[{"match": "corp.test", "to": f"127.0.0.1:{port}"}],
        **{"relay.verify": verify},  # type: ignore[arg-type]
    )


def begun(running: RunningServer) -> smtplib.SMTP:
    """A client that has given its sender."""
    client = smtplib.SMTP(*running.address, timeout=20)
    client.ehlo("client.test")
    client.mail("s@far.test")
    return client


def rcpt(client: smtplib.SMTP, name: str) -> tuple[int, str]:
    """The answer to RCPT."""
    code, text = client.rcpt(f"{name}@corp.test")
    return code, text.decode()


def test_known_unknown_and_remembered(tmp_path: Path) -> None:
    script = {"rcpt": ["250 ok", NO, "250 ok"]}
    with ScriptedPeer(script) as peer, server(tmp_path, peer.port) as running:
        with begun(running) as client:
            assert rcpt(client, "a") == (250, "2.1.5 recipient OK")
            assert rcpt(client, "b") == (550, "5.1.1 the next hop says: 550 nobody of that name")
            with begun(running) as other:
                assert rcpt(other, "a")[0] == 250
                assert rcpt(other, "b")[0] == 550
            assert peer.verbs() == ["EHLO", "MAIL", "RCPT", "RSET", "MAIL", "RCPT"]
            client.data("Subject: x\r\n\r\nhello\r\n")
        wait_until(lambda: peer.bodies, "the message")
        assert running.stop() == 0
        assert len(peer.bodies) == 1
        assert running.log.count(" unverified ") == 1
        assert running.log.count("rejected stage=RCPT") == 2


def test_a_host_that_is_down_is_asked_once_and_known_ones_are_taken(tmp_path: Path) -> None:
    port = free_port()
    with server(tmp_path, port) as running, begun(running) as client:
        with ScriptedPeer(port=port):
            assert rcpt(client, "a")[0] == 250
        assert rcpt(client, "b") == (450, "4.4.3 this recipient cannot be verified now, try later")
        assert rcpt(client, "c")[0] == 450
        assert rcpt(client, "a")[0] == 250
        running.wait_log(r"rejected stage=RCPT .* to=<c@corp.test>")
        assert running.log.count(" unverified ") == 1


def test_a_host_that_never_was(tmp_path: Path) -> None:
    with server(tmp_path, free_port()) as running, begun(running) as client:
        assert rcpt(client, "a")[0] == 450
        running.wait_log(r"unverified to=<a@corp.test> relay=none reply=.*Connection refused")


def test_a_pipelined_group_is_answered_in_order(tmp_path: Path) -> None:
    script = {"rcpt": ["250 ok", NO, "451 4.2.1 later", "250 ok"]}
    with ScriptedPeer(script) as peer, server(tmp_path, peer.port) as running, running.connect() as sock:
        said = opened(sock)
        names = ("a", "b", "c", "a", "d")
        group = "".join(f"RCPT TO:<{name}@corp.test>\r\n" for name in names)
        sock.sendall(f"EHLO c.test\r\nMAIL FROM:<s@far.test>\r\n{group}DATA\r\n".encode())
        wanted = [b"250", b"550", b"450", b"250", b"250", b"354"]
        lines = [line for line in said_until(said, b"354") if line[3:4] == b" "]
        assert [line[:3] for line in lines[-6:]] == wanted
        assert [line.split(" ")[1] for line in peer.commands if line.startswith("RCPT")] == [
            f"TO:<{name}@corp.test>" for name in ("a", "b", "c", "d")
        ]


def opened(sock: socket.socket) -> Any:
    """What the server says, after its greeting."""
    said = sock.makefile("rb")
    assert said.readline().startswith(b"220")
    return said


def said_until(said: Any, code: bytes) -> list[bytes]:
    """The lines up to the first one with ``code``."""
    lines: list[bytes] = []
    while not lines or not lines[-1].startswith(code):
        line = said.readline()
        assert line, f"the server closed after {lines}"
        lines.append(line)
    return lines


def test_a_slow_host_and_a_client_whose_patience_is_shorter(tmp_path: Path) -> None:
    with (
        ScriptedPeer({"rcpt": Act.HANG}) as peer,
        server(tmp_path, peer.port, timeout="1s") as running,
        begun(running) as client,
    ):
        assert rcpt(client, "a")[0] == 450
        assert peer.connections == 1
        with begun(running) as other:  # the question goes on, and is not asked twice
            assert rcpt(other, "a")[0] == 450
        assert peer.connections == 1


def test_a_client_that_goes_while_it_waits(tmp_path: Path) -> None:
    with ScriptedPeer({"rcpt": Act.HANG}, {}) as peer, server(tmp_path, peer.port) as running:
        for _ in range(5):
            with running.connect() as sock:
                opened(sock)
                sock.sendall(b"EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<a@corp.test>\r\nNOOP\r\n")
                peer.reached("rcpt")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert peer.connections == 1
        with begun(running) as client:
            assert rcpt(client, "b")[0] == 250
        assert running.stop() == 0
        assert "internal error" not in running.log


def test_a_server_that_stops_while_a_client_waits(tmp_path: Path) -> None:
    with ScriptedPeer({"rcpt": Act.HANG}) as peer:
        running = server(tmp_path, peer.port, timeout="2m")
        running.settings["shutdown_grace"] = 1
        with running, running.connect() as sock:
            said = opened(sock)
            sock.sendall(b"EHLO c.test\r\nMAIL FROM:<>\r\nRCPT TO:<a@corp.test>\r\n")
            peer.reached("rcpt")
            assert running.stop() == 0
            assert said.readlines()[-1].startswith(b"421 4.3.2")


def test_a_route_to_the_server_itself_asks_nobody(tmp_path: Path) -> None:
    running = server(tmp_path, 1)
    running.settings["routes"] = [{"match": "corp.test", "to": f"127.0.0.1:{running.port}"}]
    with running:
        with begun(running) as client:
            assert rcpt(client, "a")[0] == 450
        running.wait_log(r" unverified to=<a@corp.test> ")
        assert running.log.count("rejected stage=RCPT") == 1


def test_the_server_does_not_ask_its_own_name(tmp_path: Path) -> None:
    """Behind a name that is ours there is nobody but ourselves, whatever address it answers at."""
    script = {"ehlo": "250 mx.test.example"}
    with ScriptedPeer(script) as peer, server(tmp_path, peer.port) as running, begun(running) as client:
        assert rcpt(client, "a")[0] == 450
        assert "MAIL" not in peer.verbs()


def test_a_thousand_addresses_from_one_client(tmp_path: Path) -> None:
    """All are answered, over one connection, and the log does not grow by more than the refused commands."""
    count = 1000
    with ScriptedPeer({"rcpt": "250 ok"}) as peer, server(tmp_path, peer.port) as running:
        with running.connect(60) as sock:
            said = opened(sock)
            group = "".join(f"RCPT TO:<u{number}@corp.test>\r\n" for number in range(count))
            sock.sendall(f"EHLO c.test\r\nMAIL FROM:<s@far.test>\r\n{group}QUIT\r\n".encode())
            lines = said_until(said, b"221")
        assert sum(line.startswith(b"250 2.1.5") for line in lines) == count
        assert peer.verbs().count("RCPT") == count
        assert peer.connections <= 1 + count // 50
        assert running.stop() == 0
