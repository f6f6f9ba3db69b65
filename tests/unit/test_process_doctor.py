"""What the doctor finds, each fault made for it, and that it finds nothing where all is well."""

import os
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fastsmtp.cli.commands import doctor as cli
from fastsmtp.dns.base import DnsTemporary, NoSuchDomain
from fastsmtp.dns.settings import DnsSettings
from fastsmtp.maildrop.settings import MaildropSettings
from fastsmtp.process.backup.take import LAST, Last, last_backup
from fastsmtp.process.dns_records import tlsa_record
from fastsmtp.process.doctor import leftovers, machine, names, places, ports
from fastsmtp.process.doctor.finding import Finding, exit_code
from fastsmtp.process.doctor.look import domains_of, findings
from fastsmtp.process.settings import Settings, default_settings
from fastsmtp.session.listener_settings import ListenerSettings
from fastsmtp.spool.record import FORMAT
from fastsmtp.store import Store
from fastsmtp.tls.selfsigned import self_signed
from fastsmtp.tls.settings import CertificateSettings, TlsSettings
from tests.fakes.dns_server import DnsServer
from tests.system.server import free_port

NOW = 1_795_000_000.0


def settings_in(tmp_path: Path, **changes: Any) -> Settings:
    settings = msgspec.structs.replace(default_settings(tmp_path), hostname="mx.example.org", **changes)
    settings.data_dir.mkdir(parents=True, mode=0o700, exist_ok=True)
    return settings


def texts(found: Any) -> list[str]:
    return [f"{one.severity}: {one.text} | {one.mend}" for one in found]


def test_the_worst_finding_is_the_exit_code() -> None:
    note, warning, error = (Finding(severity, "a", "b") for severity in ("note", "warning", "error"))  # type: ignore[arg-type]
    assert [exit_code(some) for some in ([], [note], [note, warning], [error, note])] == [0, 0, 1, 2]


# --- permissions ----------------------------------------------------------------------------------


def test_places_that_are_well(tmp_path: Path) -> None:
    assert texts(places.look(settings_in(tmp_path), None)) == []


def test_places_that_others_may_enter_or_write(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.data_dir.chmod(0o755)
    file = tmp_path / "fastsmtp.toml"
    file.write_text("")
    file.chmod(0o666)
    assert texts(places.look(settings, file)) == [
        f"error: anybody may change {file} | chmod o-w {file}",
        f"error: others than its owner may enter {settings.data_dir} | chmod 700 {settings.data_dir}",
    ]


def test_places_of_another_owner(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, user="nobody")
    (settings.data_dir / "spool/0").mkdir(parents=True)
    found = texts(places.look(settings, None))
    assert len(found) == 3
    assert all("belongs to" in one and "chown -R nobody: " in one for one in found)


def test_keys_that_anybody_may_read(tmp_path: Path) -> None:
    cert, key = self_signed(["mx.example.org"], tmp_path / "tls", 365)
    pair = CertificateSettings(cert=str(cert), key=str(key))
    settings = settings_in(tmp_path, tls=TlsSettings(certificates=(pair,)))
    assert texts(places.look(settings, None)) == []
    key.chmod(0o644)
    assert texts(places.look(settings, None)) == [
        f"error: anybody may read the secret in {key} | chmod o= {key}"
    ]
    key.unlink()
    assert "No such file" in texts(places.look(settings, None))[0]


def test_a_control_socket_without_a_listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path)
    directory = settings.data_dir / "control"
    directory.mkdir(mode=0o700)
    monkeypatch.chdir(directory)
    with socket.socket(socket.AF_UNIX) as sock:
        os.fchmod(sock.fileno(), 0o600)
        sock.bind("0")
        sock.listen()
        assert texts(places.look(settings, None)) == []
        (directory / "0").chmod(0o666)
        assert "others may ask" in texts(places.look(settings, None))[0]
        (directory / "0").chmod(0o600)
    assert "nobody listens" in texts(places.look(settings, None))[0]


# --- the machine ----------------------------------------------------------------------------------


def test_the_clock(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    assert texts(machine.look_at_clock(settings, NOW, lambda: True)) == []
    assert "nothing keeps the clock right" in texts(machine.look_at_clock(settings, NOW, lambda: False))[0]
    assert exit_code(list(machine.look_at_clock(settings, NOW, lambda: None))) == 0
    (settings.data_dir / "lock").write_text("1")
    os.utime(settings.data_dir / "lock", (NOW, NOW))
    behind = texts(machine.look_at_clock(settings, NOW - 7200, lambda: True))
    assert len(behind) == 1
    assert "2.0 h younger than now: the clock was set back" in behind[0]
    assert "years behind" in texts(machine.look_at_clock(settings, 0.0, lambda: True))[0]


def test_the_kernel_says_whether_the_clock_is_kept_right() -> None:
    assert machine.clock_is_synchronised() in (True, False, None)


def test_limits_of_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "kernel_backlog", lambda: 128)
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 1024))
    found = texts(machine.look_at_limits(settings_in(tmp_path)))
    assert "1024 files" in found[0]
    assert "128 connections" in found[1]
    monkeypatch.setattr(machine, "kernel_backlog", lambda: 4096)
    monkeypatch.setattr(resource, "getrlimit", lambda what: (1024, 1 << 20))
    assert texts(machine.look_at_limits(settings_in(tmp_path))) == []


def test_disks_and_databases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_in(tmp_path)
    settings = msgspec.structs.replace(
        settings, pressure=msgspec.structs.replace(settings.pressure, disk_free=0, inodes_free=0)
    )
    (settings.data_dir / "spool/0").mkdir(parents=True)
    assert texts(machine.look_at_disk(settings)) == []
    monkeypatch.setattr(machine, "fill", lambda place: settings.spool.map_size)
    assert "has used 100% of spool.map_size" in texts(machine.look_at_disk(settings))[0]
    short = msgspec.structs.replace(settings.pressure, disk_free=1 << 60)
    found = texts(machine.look_at_disk(msgspec.structs.replace(settings, pressure=short)))
    assert found[0].startswith("error: free space of")


def test_certificates(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    assert "empty" in texts(machine.look_at_certificates(settings, NOW))[0]
    cert, key = self_signed(["other.example.org"], tmp_path / "tls", 365)
    pair = CertificateSettings(cert=str(cert), key=str(key))
    settings = settings_in(tmp_path, tls=TlsSettings(certificates=(pair,)))
    found = texts(machine.look_at_certificates(settings, os.stat(cert).st_mtime + 10))
    assert [one.split(" | ")[0] for one in found] == [
        f"warning: {cert} is self-signed: mail programs do not trust it",
        "error: no certificate is for mx.example.org, the server's own name",
    ]
    late = texts(machine.look_at_certificates(settings, os.stat(cert).st_mtime + 400 * 86_400))
    assert late[0].startswith("error: tls.certificates[0]: the certificate of")


# --- what lies about ------------------------------------------------------------------------------


def test_what_programs_have_dropped_and_nobody_can_take(tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    settings = settings_in(tmp_path, maildrop=MaildropSettings(path=str(drop)))
    assert not any(str(drop) in text for text in texts(leftovers.look(settings, NOW, None)))
    drop.mkdir()
    (drop / ("0" * 32)).write_text("it waits for the server")
    (drop / f"damaged-{'1' * 32}").write_text("")
    [found] = [text for text in texts(leftovers.look(settings, NOW, None)) if str(drop) in text]
    assert found.startswith("warning: 1 messages that programs have dropped are damaged")


def test_leftovers(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    spool = settings.data_dir / "spool"
    (spool / "0/corrupt").mkdir(parents=True)
    (spool / "3").mkdir()
    (spool / "0/corrupt/A.eml").write_text("")
    (settings.data_dir / "restore.part").mkdir()
    (settings.data_dir / "replaced-1").mkdir()
    (settings.data_dir / LAST).write_bytes(msgspec.json.encode(Last(NOW - 10 * 86_400, "/b.tar")))
    found = texts(leftovers.look(settings, NOW, {0}))
    for one, words in zip(
        found,
        (
            "warning: 1 messages could not be delivered",
            f"error: no worker has {spool / '3'} open",
            f"note: {settings.data_dir / 'replaced-1'}",
            "error: ",
            "warning: the last backup, /b.tar, is 10 days old",
        ),
        strict=True,
    ):
        assert one.startswith(words)
    assert len(texts(leftovers.look(settings, NOW, None))) == 4, "without a server nobody has a shard open"


@pytest.mark.parametrize(("number", "told"), [(FORMAT, 0), (FORMAT + 1, 1)])
def test_a_spool_of_a_newer_program(tmp_path: Path, number: int, told: int) -> None:
    settings = settings_in(tmp_path)
    shard = settings.data_dir / "spool/0"
    shard.mkdir(parents=True)
    store = Store(shard, (), format_number=number, map_size=1 << 20)
    store.open()
    store.close()
    words = f"is of format {number}, this program reads {FORMAT}"
    assert sum(words in text for text in texts(leftovers.look(settings, NOW, None))) == told
    assert not any(words in text for text in texts(leftovers.look(settings, NOW, {0})))


def test_no_backup_is_worth_a_note(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    assert "no backup was ever taken" in texts(leftovers.look(settings, NOW, None))[0]
    for garbled in (b"garbage", b'{"path":"\xff"}'):
        (settings.data_dir / LAST).write_bytes(garbled)
        assert last_backup(settings.data_dir) is None


# --- ports ----------------------------------------------------------------------------------------


@contextmanager
def greeter(words: bytes) -> Iterator[int]:
    """A port where somebody says ``words`` to each who comes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(words)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def listening(tmp_path: Path, port: int) -> Settings:
    return settings_in(tmp_path, listeners=(ListenerSettings(address=f"127.0.0.1:{port}"),))


def test_another_program_on_the_port(tmp_path: Path) -> None:
    with greeter(b"220 other ESMTP\r\n") as port:
        settings = listening(tmp_path, port)
        name = Path("/proc/self/comm").read_text().strip()
        found = texts(ports.look(settings, running=False))
        assert len(found) == 1
        assert f"{name} has the port, so the server cannot start" in found[0]
        assert [one for one in texts(ports.look(settings, running=True)) if one.startswith("error")] == []
    assert texts(ports.look(settings, running=False)) == []
    assert "refused" in texts(ports.look(settings, running=True))[0]


def test_mail_can_leave_or_not() -> None:
    with greeter(b"220 far ESMTP\r\n") as port:
        assert [one.severity for one in ports.look_outside("127.0.0.1", port)] == ["note"]
    with greeter(b"554 go \x1b[away\r\n") as port:
        found = texts(ports.look_outside("127.0.0.1", port))
        assert "it greets with '554 go ?[away', not 220" in found[0]
    assert "cannot be reached" in texts(ports.look_outside("127.0.0.1", free_port()))[0]


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Port 25 is taken; what has it is not shown."""
    proc = tmp_path / "proc"
    (proc / "net").mkdir(parents=True)
    (proc / "net/tcp").write_text(
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        "   0: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n"
    )
    (proc / "17/fd").mkdir(parents=True)
    return proc


def test_owners_of_ports_are_found_by_proc(proc: Path) -> None:
    (proc / "17/comm").write_text("master\n")
    assert ports.owner_of(25, proc) == "another program"
    os.symlink("socket:[4711]", proc / "17/fd/12")
    assert ports.owner_of(25, proc) == "master"
    assert ports.owner_of(26, proc) is None


@pytest.mark.parametrize(
    ("name", "severity", "mend"),
    [
        ("master", "error", "systemctl disable --now postfix"),
        ("nc", "error", "ss -ltnp 'sport = :25'"),
        ("systemd", "note", "systemctl list-sockets"),
    ],
)
def test_each_owner_of_a_port_has_its_mend(
    tmp_path: Path, proc: Path, name: str, severity: str, mend: str
) -> None:
    os.symlink("socket:[4711]", proc / "17/fd/12")
    (proc / "17/comm").write_text(f"{name}\n")
    [found] = ports.look(listening(tmp_path, 25), running=False, proc=proc)
    assert (found.severity, found.mend) == (severity, mend)


# --- the DNS --------------------------------------------------------------------------------------

GOOD = {
    ("mx.example.org", "A"): ["192.0.2.1"],
    ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org."],
    ("example.org", "MX"): ["10 mx.example.org."],
    ("example.org", "TXT"): ['"v=spf1 mx -all"', '"something else"'],
    ("_dmarc.example.org", "TXT"): ['"v=DMARC1; p=none"'],
    ("_mta-sts.example.org", "TXT"): ['"v=STSv1; id=1"'],
    ("mta-sts.example.org", "A"): ["192.0.2.1"],
}


def published(tmp_path: Path, zone: dict[tuple[str, str], list[str]], **changes: Any) -> list[str]:
    """What is found wrong with ``zone``."""

    async def ask(name: str, kind: str) -> list[str]:
        if (name, kind) not in zone:
            raise NoSuchDomain(name)
        return zone[name, kind]

    found = names.look(settings_in(tmp_path, **changes), ["example.org"], ask)
    return [one for one in texts(found) if "DKIM" not in one]


def test_good_records(tmp_path: Path) -> None:
    assert published(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("name", "kind", "records", "words"),
    [
        ("mx.example.org", "A", [], "error: mx.example.org has no address"),
        ("1.2.0.192.in-addr.arpa", "PTR", ["host.isp.test."], "warning: 192.0.2.1 is host.isp.test, not mx"),
        ("1.2.0.192.in-addr.arpa", "PTR", [], "warning: 192.0.2.1 has no name"),
        ("example.org", "MX", [], "error: example.org has no MX record"),
        ("example.org", "MX", ["10 other.test."], "error: mail for example.org goes to other.test"),
        ("example.org", "TXT", [], "warning: example.org has no SPF record"),
        ("example.org", "TXT", ['"v=spf1 a"', '"v=spf1 mx"'], "error: example.org has 2 SPF records"),
        (
            "example.org",
            "TXT",
            ['"v=spf1 mx " "+all"'],
            "error: the SPF record of example.org lets anybody send",
        ),
        ("_dmarc.example.org", "TXT", [], "warning: example.org has no DMARC record"),
        ("_mta-sts.example.org", "TXT", [], "note: example.org has no MTA-STS policy"),
        ("mta-sts.example.org", "A", [], "warning: example.org announces an MTA-STS policy, but"),
    ],
)
def test_each_record(tmp_path: Path, name: str, kind: str, records: list[str], words: str) -> None:
    found = published(tmp_path, GOOD | {(name, kind): records})
    assert len(found) == 1
    assert found[0].startswith(words)
    assert found[0].split(" | ")[1], "it has a mend"


def test_the_mend_of_a_record_is_what_init_prints(tmp_path: Path) -> None:
    found = published(tmp_path, GOOD | {("example.org", "MX"): []})
    assert found[0].endswith("publish: example.org. MX 10 mx.example.org.")


def test_services_of_ports_that_are_served(tmp_path: Path) -> None:
    listeners = (ListenerSettings(address="127.0.0.1:465", protocol="submissions"),)
    found = published(tmp_path, GOOD, listeners=listeners)
    assert [one.split(" | ")[1] for one in found] == [
        "publish: _submissions._tcp.example.org. SRV 0 1 465 mx.example.org."
    ]
    srv = {("_submissions._tcp.example.org", "SRV"): ["0 1 465 mx.example.org."]}
    assert published(tmp_path, GOOD | srv, listeners=listeners) == []


def test_a_tlsa_record_of_another_key(tmp_path: Path) -> None:
    cert, key = self_signed(["mx.example.org"], tmp_path / "tls", 365)
    tls = TlsSettings(certificates=(CertificateSettings(cert=str(cert), key=str(key)),))
    name = ("_25._tcp.mx.example.org", "TLSA")
    other = {name: ["3 1 1 " + "ab" * 32]}
    (found,) = published(tmp_path, GOOD | other, tls=tls)
    assert found.startswith("error: _25._tcp.mx.example.org names another key than the server's")
    ours = {name: [tlsa_record("mx.example.org", cert)[0].split("TLSA")[1].strip()]}
    assert published(tmp_path, GOOD | ours, tls=tls) == []


def test_a_dns_that_does_not_answer(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(settings_in(tmp_path), hostname="dead")

    async def ask(name: str, kind: str) -> list[str]:
        raise DnsTemporary("nobody")

    assert "the DNS does not answer: nobody" in texts(names.look(settings, ["example.org"], ask))[0]


def test_it_asks_the_resolvers_of_the_settings(tmp_path: Path) -> None:
    with DnsServer() as server:
        for (name, kind), records in GOOD.items():
            server.add(name, kind, *records)
        dns = DnsSettings(servers=(server.address,), timeout=5)
        settings = settings_in(tmp_path, dns=dns)
        found = names.look(settings, ["example.org"], names.asker(settings))
        assert [one for one in texts(found) if "DKIM" not in one] == []
        server.remove("example.org", "MX")
        assert any(
            "no MX record" in one
            for one in texts(names.look(settings, ["example.org"], names.asker(settings)))
        )


# --- all together ---------------------------------------------------------------------------------


def test_all_looks_and_the_worst_first(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.data_dir.chmod(0o755)
    found = findings(settings, None, NOW, dns=False, synchronised=lambda: True)
    assert found[0].severity == "error"
    assert [one.severity for one in found] == sorted(
        (one.severity for one in found), key="error warning note".index
    )
    assert domains_of(settings) == ["localhost"]


def test_a_finding_for_a_person(tmp_path: Path) -> None:
    one = Finding("error", "settings", "wrong", "fastsmtp check -c FILE")
    assert cli.lines(one, Path("/etc/f.toml")) == [
        "ERROR    settings: wrong",
        "         mend: fastsmtp check -c /etc/f.toml",
    ]
    assert cli.lines(Finding("note", "dns", "so"), None) == ["NOTE     dns: so"]
