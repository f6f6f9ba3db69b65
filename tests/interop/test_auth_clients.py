"""Foreign clients log in: swaks, msmtp, curl, smtplib, by each mechanism they know, by STARTTLS and on TLS ports."""

import contextlib
import hashlib
import smtplib
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import scramp

from tests.conftest import require_program
from tests.system.server import free_port
from tests.tools import arrived
from tests.tools.chains import Issued
from tests.tools.jwt import AUDIENCE, ISSUER, Issuer
from tests.tools.site import Site, site
from tests.tools.tls_pairs import write_pair
from tests.tools.waiting import until

LOGIN, PASSWORD = "alice@example.org", "corr3ct-h0rse!"
MESSAGE = f"From: {LOGIN}\r\nTo: bob@example.org\r\nSubject: by {{}}\r\n\r\nHello.\r\n"
ROOT = Issued("root of the test", authority=True)
THEM = Issuer()


class Place:
    """The server, where its listeners are, and what clients need to know."""

    def __init__(self, server: Site, ports: dict[str, int], ca: Path) -> None:
        self.server = server
        self.ports = ports
        self.ca = ca
        self.token = THEM.token({"email": LOGIN, "exp": int(time.time()) + 3600})

    def secret(self, mechanism: str, *, good: bool = True) -> str:
        """What to log in with."""
        secret = self.token if mechanism in ("OAUTHBEARER", "XOAUTH2") else PASSWORD
        return secret if good else secret[:-8] + "AAAAAAAA"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("auth")
    pair = write_pair(folder / "tls", Issued("localhost", ROOT, names=("localhost",)))
    ca, keys = folder / "ca.pem", folder / "keys.json"
    ca.write_text(ROOT.pem)
    keys.write_bytes(THEM.jwks)
    ports = {"smtp": free_port(), "submission": free_port(), "submissions": free_port()}
    listeners = [{"address": f"127.0.0.1:{port}", "protocol": name} for name, port in ports.items()]
    with site(
        folder / "server",
        workers=2,
        listeners=listeners,
        tls={"certificates": [{"cert": pair.cert, "key": pair.key}]},
        accounts={"backend": "embedded", "scram_iterations": 4096},
        limits={"loopback_exempt": True},
        **{
            "accounts.hash": {"memory": 8192, "passes": 1},
            "auth.oauth": {"issuer": ISSUER, "audience": AUDIENCE, "keys": str(keys)},
        },
    ) as server:
        server.add_account(LOGIN, PASSWORD)
        yield Place(server, ports, ca)
        server.stop_in_order()
        for secret in (PASSWORD, THEM.token().partition(".")[0]):
            assert secret not in server.everything_said()


def ran(*command: object, text: str = "") -> tuple[bool, str]:
    """Run a client; whether it was content, and all it said."""
    done = subprocess.run(
        [str(one) for one in command], input=text.encode(), capture_output=True, timeout=60, check=False
    )
    return done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


Sent = tuple[bool, str]


def swaks(place: Place, listener: str, mechanism: str, secret: str) -> Sent:
    tls = "--tls-on-connect" if listener == "submissions" else "--tls"
    return ran(
        *(require_program("swaks"), tls, "--server", f"127.0.0.1:{place.ports[listener]}", "--from", LOGIN),
        *("--to", "bob@example.org", "--header", "Subject: by swaks", "--auth", mechanism),
        *("--auth-user", LOGIN, "--auth-password", secret),
    )


def msmtp(place: Place, listener: str, mechanism: str, secret: str) -> Sent:
    starttls = "off" if listener == "submissions" else "on"
    return ran(
        *(
            require_program("msmtp"),
            "--file=/dev/null",
            "--host=localhost",
            f"--port={place.ports[listener]}",
        ),
        *("--tls=on", f"--tls-starttls={starttls}", f"--tls-trust-file={place.ca}", f"--from={LOGIN}"),
        *(
            f"--auth={mechanism.lower()}",
            f"--user={LOGIN}",
            f"--passwordeval=echo '{secret}'",
            "bob@example.org",
        ),
        text=MESSAGE.format("msmtp").replace("\r\n", "\n"),
    )


def curl(place: Place, listener: str, mechanism: str, secret: str) -> Sent:
    scheme = "smtps" if listener == "submissions" else "smtp"
    token = mechanism == "OAUTHBEARER"
    who = ("--user", f"{LOGIN}:", "--oauth2-bearer", secret) if token else ("--user", f"{LOGIN}:{secret}")
    return ran(
        *(require_program("curl"), "-sS", "--ipv4", "--url", f"{scheme}://localhost:{place.ports[listener]}"),
        *("--ssl-reqd", "--cacert", place.ca, "--mail-from", LOGIN, "--mail-rcpt", "bob@example.org"),
        *("--upload-file", "-", "--login-options", f"AUTH={mechanism}", *who),
        text=MESSAGE.format("curl"),
    )


def python(place: Place, listener: str, mechanism: str, secret: str) -> Sent:
    with python_session(place, listener) as client:
        try:
            client.user, client.password = LOGIN, secret
            client.auth(mechanism, answers(client, mechanism, secret))
        except smtplib.SMTPAuthenticationError as error:
            return False, f"{error.smtp_code} {error.smtp_error!r}"
        client.sendmail(LOGIN, ["bob@example.org"], MESSAGE.format("python"))
    return True, ""


@contextlib.contextmanager
def python_session(place: Place, listener: str) -> Iterator[smtplib.SMTP]:
    """After EHLO, under TLS."""
    context = ssl.create_default_context(cafile=str(place.ca))
    port = place.ports[listener]
    if listener == "submissions":
        client: smtplib.SMTP = smtplib.SMTP_SSL("localhost", port, timeout=20, context=context)
    else:
        client = smtplib.SMTP("localhost", port, timeout=20)
        client.starttls(context=context)
    with client:
        client.ehlo()
        yield client


def answers(client: smtplib.SMTP, mechanism: str, secret: str) -> Callable[..., str]:
    """What smtplib is to say to each challenge; PLAIN and LOGIN it knows itself."""
    if mechanism in ("PLAIN", "LOGIN"):
        own: Callable[..., str] = getattr(client, f"auth_{mechanism.lower()}")
        return own
    if mechanism == "XOAUTH2":
        return lambda challenge=None: "" if challenge else f"user={LOGIN}\1auth=Bearer {secret}\1\1"
    if mechanism == "OAUTHBEARER":
        return lambda challenge=None: "\1" if challenge else f"n,a={LOGIN},\1auth=Bearer {secret}\1\1"
    binding = None
    if mechanism.endswith("-PLUS"):
        assert isinstance(client.sock, ssl.SSLSocket)
        certificate = client.sock.getpeercert(binary_form=True) or b""
        binding = ("tls-server-end-point", hashlib.sha256(certificate).digest())
    scram = scramp.ScramClient([mechanism], LOGIN, secret, channel_binding=binding)
    steps = iter((scram.set_server_first, scram.set_server_final))

    def answer(challenge: bytes | None = None) -> str:
        if challenge is None:
            return str(scram.get_client_first())
        next(steps)(challenge.decode())
        return "" if challenge.startswith(b"v=") else str(scram.get_client_final())

    return answer


CLIENTS: list[tuple[Callable[[Place, str, str, str], Sent], str]] = [
    *((swaks, name) for name in ("PLAIN", "LOGIN")),
    *((msmtp, name) for name in ("PLAIN", "LOGIN", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2")),
    *((curl, name) for name in ("PLAIN", "LOGIN", "OAUTHBEARER")),  # no XOAUTH2 where it sees the other
    *(
        (python, name)
        for name in ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2")
    ),
]
each_client = pytest.mark.parametrize(
    ("client", "mechanism"), CLIENTS, ids=[f"{client.__name__} {mechanism}" for client, mechanism in CLIENTS]
)
each_listener = pytest.mark.parametrize("listener", ["submission", "submissions"])


@each_listener
@each_client
def test_sending(place: Place, client: Callable[..., Sent], mechanism: str, listener: str) -> None:
    before = len(place.server.log)
    content, said = client(place, listener, mechanism, place.secret(mechanism))
    assert content, said
    maildir = place.server.maildir("bob")
    until("the mail is there", lambda: list(maildir.glob("new/*")), 60)
    (mail,) = arrived.messages(maildir)
    mail.path.unlink()
    assert f"Subject: by {client.__name__}".encode() in mail.content
    assert b"with ESMTPSA" in mail.received
    line = f"authenticated client=127.0.0.1 mechanism={mechanism} login={LOGIN}\n"
    until(line, lambda: line in place.server.log[before:], 60)


@each_listener
@each_client
def test_a_wrong_secret(place: Place, client: Callable[..., Sent], mechanism: str, listener: str) -> None:
    before = len(place.server.log)
    content, said = client(place, listener, mechanism, place.secret(mechanism, good=False))
    assert not content
    assert "535" in said or client is curl, said  # curl says that the login was denied
    line = f"login-failed client=127.0.0.1 mechanism={mechanism} login={LOGIN} reason="
    until(line, lambda: line in place.server.log[before:], 60)


@each_listener
def test_what_is_offered(place: Place, listener: str) -> None:
    with python_session(place, listener) as client:
        offered = client.esmtp_features["auth"].split()
    assert offered == ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"]


def test_nothing_is_offered_in_clear(place: Place) -> None:
    with smtplib.SMTP("localhost", place.ports["submission"], timeout=20) as client:
        client.ehlo()
        assert "auth" not in client.esmtp_features
        assert client.docmd("AUTH PLAIN AGFsaWNlAHNlY3JldA==")[0] in (530, 538)


def test_the_binding_of_another_connection(place: Place) -> None:
    """What somebody between would have to do: hand on a login that is bound to his own certificate."""
    with python_session(place, "submission") as client:
        other: Any = ("tls-server-end-point", hashlib.sha256(b"his").digest())
        scram = scramp.ScramClient(["SCRAM-SHA-256-PLUS"], LOGIN, PASSWORD, channel_binding=other)

        def answer(challenge: bytes | None = None) -> str:
            if challenge is None:
                return str(scram.get_client_first())
            scram.set_server_first(challenge.decode())
            return str(scram.get_client_final())

        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.auth("SCRAM-SHA-256-PLUS", answer)
