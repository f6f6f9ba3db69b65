"""From hosts to a session: addresses, STARTTLS and its failures, DANE, AUTH, and what is counted of it."""

import base64
import hashlib
import secrets
import socket
import ssl
import threading

import pytest

from fastsmtp.dns.base import Addresses, Tlsa
from fastsmtp.mail.result import DeliveryResult
from fastsmtp.sasl.client import Credentials, Scram
from fastsmtp.transport.smtp.mx import Host
from fastsmtp.transport.smtp.opening import MOST_SESSIONS, label
from fastsmtp.transport.smtp.place import Place, Target
from fastsmtp.transport.smtp.policy import Protection
from fastsmtp.transport.smtp.tls_report import Failure, Tally
from tests.fakes.outbound import World, place, protection, run, target
from tests.fakes.scripted_peer import Act, ScriptedPeer
from tests.tools.certificates import Authority

NAME = "mx1.far.test"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> ssl.SSLContext:
    return authority.server(NAME)


def outcome(
    where: Place, *, messages: int = 1, ca_file: str = ""
) -> tuple[list[DeliveryResult], list[Tally]]:
    """The results of sending so many messages, and the counters of TLS."""

    async def attempt() -> tuple[list[DeliveryResult], list[Tally]]:
        async with World(ca_file=ca_file) as world:
            results = [(await world.send(where))[0][0] for _ in range(messages)]
            assert "internal error" not in world.logged()
            return results, world.transport.report.snapshot()

    return run(attempt())


def secured(peer: ScriptedPeer) -> list[str]:
    """What came after STARTTLS, which begins with a second EHLO (RFC 3207 §4.2)."""
    return peer.commands[peer.commands.index("STARTTLS") + 1 :]


# --- addresses -----------------------------------------------------------------------------------------------------


def test_labels() -> None:
    assert label("mx.far.test", "192.0.2.1", 25) == "mx.far.test[192.0.2.1]:25"
    assert label("[192.0.2.1]", "192.0.2.1", 25) == "[192.0.2.1]:25"


def test_the_other_address_when_one_refuses_and_the_other_host_when_all_do() -> None:
    with ScriptedPeer() as peer, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = Host(name="dead.test", port=closed.getsockname()[1], addresses=Addresses(v4=("127.0.0.1",)))
        both = Host(name="both.test", port=peer.port, addresses=Addresses(v6=("::1",), v4=("127.0.0.1",)))
        (result,), _ = outcome(Place("s", [Target(dead, protection()), Target(both, protection())]))
        assert result.remote == f"both.test[127.0.0.1]:{peer.port}"


def test_a_host_s_second_address_when_the_first_has_no_session_for_us() -> None:
    bad = ScriptedPeer({"greeting": "421 busy"}, address="127.0.0.2")
    with bad, ScriptedPeer(address="127.0.0.3", port=bad.port) as good:
        one = Host(name="mx", port=bad.port, addresses=Addresses(v4=("127.0.0.2", "127.0.0.3")))
        (result,), _ = outcome(Place("s", [Target(one, protection())]))
        assert result.remote == f"mx[127.0.0.3]:{good.port}"


def test_ipv6() -> None:
    try:
        peer = ScriptedPeer(address="::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with peer:
        (result,), _ = outcome(place(peer))
        assert result.remote == f"mx1.far.test[::1]:{peer.port}"


def test_sessions_are_bounded() -> None:
    with ScriptedPeer({"greeting": "421 busy"}) as peer:
        (result,), _ = outcome(Place("s", [target(peer)] * 50))
        assert (result.status, result.code) == ("deferred", 421)
        assert peer.connections == MOST_SESSIONS


def test_a_host_that_the_policy_refuses_is_not_spoken_to() -> None:
    soft = protection("dane", refused="no TLSA records", enhanced="4.7.5")
    hard = protection("verify", refused="nobody vouches", enhanced="5.7.10")
    with ScriptedPeer() as peer:
        (result,), _ = outcome(place(peer, needs=soft))
        assert (result.status, result.enhanced, result.text) == ("deferred", "4.7.5", "no TLSA records")
        (result,), _ = outcome(place(peer, needs=hard))
        assert (result.status, result.enhanced, result.text) == ("failed", "5.7.10", "nobody vouches")
        assert peer.connections == 0
        (result,), _ = outcome(Place("s", [target(peer, hard), target(peer)]))
        assert result.status == "relayed"


# --- STARTTLS ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["may", "encrypt", "verify"])
def test_starttls(level: str, server: ssl.SSLContext, authority: Authority) -> None:
    needs = protection(level, names=(NAME,) if level == "verify" else (), sni=NAME)
    with ScriptedPeer(tls=server) as peer:
        results, counted = outcome(place(peer, needs=needs), messages=3, ca_file=str(authority.file))
        assert [one.status for one in results] == ["relayed"] * 3
        assert counted == [Tally("far.test", "no-policy-found", 1, ())]
    assert peer.connections == 1
    assert [line.split()[0] for line in secured(peer)[:2]] == ["EHLO", "MAIL"]


def test_an_address_is_not_named_in_the_handshake(server: ssl.SSLContext) -> None:
    with ScriptedPeer(tls=server) as peer:
        (result,), _ = outcome(place(peer, needs=protection("encrypt")))
        assert result.status == "relayed"


def test_none_asks_for_nothing(server: ssl.SSLContext) -> None:
    with ScriptedPeer(tls=server) as peer:
        outcome(place(peer, needs=protection("none")))
    assert "STARTTLS" not in peer.verbs()


@pytest.mark.parametrize(
    ("script", "kind"),
    [({"tls": b"garbage\r\n"}, "validation-failure"), ({"starttls": "454 no"}, "validation-failure")],
)
def test_in_clear_where_opportunistic_tls_fails(
    script: dict[str, object], kind: str, server: ssl.SSLContext
) -> None:
    with ScriptedPeer(script, tls=server) as peer:
        (result,), counted = outcome(place(peer, needs=protection("may")))
        assert result.status == "relayed"
        assert counted == [Tally("far.test", "no-policy-found", 0, ((Failure(kind, NAME), 1),))]  # type: ignore[arg-type]


def test_not_offered_is_counted_and_harmless_where_tls_is_not_required() -> None:
    with ScriptedPeer() as peer:
        (result,), counted = outcome(place(peer, needs=protection("may")))
        assert result.status == "relayed"
        assert counted[0].failures == ((Failure("starttls-not-supported", NAME), 1),)


def in_testing(server: ScriptedPeer) -> Place:
    return place(server, needs=protection("may", policy="sts", testing=True, names=(NAME,), sni=NAME))


def test_a_policy_in_testing_that_is_kept(server: ssl.SSLContext, authority: Authority) -> None:
    with ScriptedPeer(tls=server) as peer:
        (result,), counted = outcome(in_testing(peer), ca_file=str(authority.file))
        assert result.status == "relayed"
        assert counted == [Tally("far.test", "sts", 1, ())]
    assert peer.connections == 1


@pytest.mark.parametrize(
    ("name", "script", "kind", "sessions", "encrypted"),
    [
        ("other.test", {}, "certificate-host-mismatch", 2, True),
        ("other.test", {"tls": b"garbage\r\n"}, "validation-failure", 3, False),
        ("", {}, "starttls-not-supported", 1, False),
    ],
)
def test_a_policy_in_testing_that_is_not_kept(
    name: str, script: dict[str, object], kind: str, sessions: int, encrypted: bool, authority: Authority
) -> None:
    """It is counted once, and the mail goes on as well protected as it can be."""
    with ScriptedPeer(script, tls=authority.server(name) if name else None) as peer:
        (result,), counted = outcome(in_testing(peer), ca_file=str(authority.file))
        assert result.status == "relayed"
        assert counted == [Tally("far.test", "sts", 0, ((Failure(kind, NAME), 1),))]  # type: ignore[arg-type]
    assert peer.connections == sessions
    assert peer.verbs().count("EHLO") == sessions + encrypted, "one more where TLS came about"


def test_tls_before_the_greeting(server: ssl.SSLContext, authority: Authority) -> None:
    needs = protection("verify", names=(NAME,))
    with ScriptedPeer(tls=server, implicit=True) as peer:
        results, _ = outcome(place(peer, needs=needs, implicit=True), messages=2, ca_file=str(authority.file))
        assert [one.status for one in results] == ["relayed"] * 2
        (result,), _ = outcome(place(peer, needs=needs, implicit=True))
        assert (result.status, result.enhanced) == ("deferred", "4.7.5")
        assert "certificate: self-signed certificate in certificate chain" in result.text
    assert "STARTTLS" not in peer.verbs()


# --- DANE ----------------------------------------------------------------------------------------------------------


def tlsa(server_folder: Authority, *, right: bool) -> Protection:
    der = ssl.PEM_cert_to_DER_cert((server_folder.folder / f"{NAME}.pem").read_text())
    digest = hashlib.sha256(der if right else b"another").digest()
    return protection("dane", names=(NAME,), sni=NAME, policy="tlsa", tlsa=(Tlsa(3, 0, 1, digest),))


@pytest.mark.parametrize("implicit", [False, True])
def test_dane(implicit: bool, server: ssl.SSLContext, authority: Authority) -> None:
    with ScriptedPeer(tls=server, implicit=implicit) as peer:
        (result,), counted = outcome(place(peer, needs=tlsa(authority, right=True), implicit=implicit))
        assert result.status == "relayed"
        assert counted == [Tally("far.test", "tlsa", 1, ())]


@pytest.mark.parametrize("implicit", [False, True])
def test_dane_with_another_certificate(implicit: bool, server: ssl.SSLContext, authority: Authority) -> None:
    with ScriptedPeer(tls=server, implicit=implicit) as peer:
        (result,), counted = outcome(place(peer, needs=tlsa(authority, right=False), implicit=implicit))
        assert (result.status, result.enhanced) == ("deferred", "4.7.5")
        assert "not the one that the TLSA records name" in result.text
        assert counted == [Tally("far.test", "tlsa", 0, ((Failure("validation-failure", NAME), 1),))]
    assert "MAIL" not in peer.verbs()


# --- AUTH ----------------------------------------------------------------------------------------------------------


def account(peer: ScriptedPeer, level: str) -> Place:
    credentials = Credentials("me", password="secret")
    return place(peer, needs=protection(level), account="smarthost", credentials=credentials)


def test_logging_in_once_for_each_connection(server: ssl.SSLContext) -> None:
    with ScriptedPeer(tls=server, extensions=["AUTH PLAIN", "PIPELINING"]) as peer:
        results, _ = outcome(account(peer, "encrypt"), messages=2)
        assert [one.status for one in results] == ["relayed"] * 2
    assert [line for line in secured(peer) if line.startswith("AUTH")] == [
        "AUTH PLAIN " + base64.b64encode(b"\0me\0secret").decode()
    ]


def test_a_proof_is_computed_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of RFC 7677 §3."""
    threads = []
    work = Scram.work
    monkeypatch.setattr(Scram, "work", lambda self: threads.append(threading.get_ident()) or work(self))
    monkeypatch.setattr(secrets, "token_urlsafe", lambda _: "rOprNGfwEbeRWgbNEkqO")
    first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    proof = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
    proof += b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    script = {
        "auth": b"334 " + base64.b64encode(first) + b"\r\n",
        base64.b64encode(proof).decode().lower(): b"334 "
        + base64.b64encode(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        + b"\r\n",
        "": "235 2.7.0 welcome",
    }
    with ScriptedPeer(script, extensions=["AUTH SCRAM-SHA-256"]) as peer:
        credentials = Credentials("user", password="pencil")
        (result,), _ = outcome(place(peer, account="smarthost", credentials=credentials))
        assert result.status == "relayed"
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_login_that_is_refused() -> None:
    script = {"auth": "535 5.7.8 who?"}
    with ScriptedPeer(script, extensions=["AUTH SCRAM-SHA-256"]) as peer:
        (result,), _ = outcome(account(peer, "none"))
        assert (result.status, result.code, result.enhanced) == ("deferred", 535, "4.7.8")
    assert "MAIL" not in peer.verbs()


@pytest.mark.parametrize("extensions", [["AUTH PLAIN LOGIN"], []])
def test_a_password_is_not_shown_in_clear(extensions: list[str]) -> None:
    with ScriptedPeer(extensions=extensions) as peer:
        (result,), _ = outcome(account(peer, "none"))
        assert (result.status, result.text) == ("deferred", "the server offers no AUTH that may be used")
    assert not {"AUTH", "MAIL"} & set(peer.verbs())


def test_a_server_that_hangs_up_over_a_login() -> None:
    with ScriptedPeer({"auth": Act.CLOSE}, extensions=["AUTH SCRAM-SHA-256"]) as peer:
        (result,), _ = outcome(account(peer, "none"))
        assert (result.status, result.enhanced) == ("deferred", "4.4.2")


def test_a_place_may_hold_hosts_of_different_kinds() -> None:
    with ScriptedPeer({"greeting": "421 no"}) as smtp, ScriptedPeer(lmtp=True) as lmtp:
        (result,), _ = outcome(Place("s", [target(smtp), target(lmtp, lmtp=True)]))
        assert result.status == "delivered"
    assert lmtp.verbs()[0] == "LHLO"
