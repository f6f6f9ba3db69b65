"""The client's side of SASL."""

import base64
import hashlib
import hmac

import pytest

from fastsmtp.sasl.client import ITERATIONS, Credentials, Login, OauthBearer, Plain, Scram, Xoauth2, choose

WHO = Credentials("user", password="pencil")
SHOWN = Credentials("user", token="t0ken")
NONCE = "rOprNGfwEbeRWgbNEkqO"
FIRST = f"r={NONCE}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
LAST = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_example_of_rfc_7677() -> None:
    scram = Scram(WHO, NONCE)
    assert scram.start() == b"n,,n=user,r=" + NONCE.encode()
    assert scram.step(FIRST.encode()) is None
    assert scram.work() == (
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert not scram.complete()
    assert scram.step(LAST) == b""
    assert scram.complete()
    with pytest.raises(ValueError, match="none belongs"):
        scram.step(b"")


@pytest.mark.parametrize(
    "first",
    [
        "",
        "x",
        f"r={NONCE},s=AAAA,i=4096",
        "r=other,s=AAAA,i=4096",
        f"r={NONCE}\u00e9,s=AAAA,i=4096",
        f"r={NONCE}x,s=AA!A,i=4096",
        f"r={NONCE}x,s=AAAA,i=4095",
        f"r={NONCE}x,s=AAAA,i=1000001",
        f"r={NONCE}x,s=AAAA,i=9999999999999",
        f"r={NONCE}x,s=AAAA,i=-1",
        f"r={NONCE}x,s=AAAA,i=\u0664096",
        f"r={NONCE}x,s=AAAA",
        f"m=x,r={NONCE}x,s=AAAA,i=4096",
        f"r={NONCE}" + "x" * 600 + ",s=AAAA,i=4096",
    ],
)
def test_scram_refuses_a_bad_first_message(first: str) -> None:
    scram = Scram(WHO, NONCE)
    scram.start()
    with pytest.raises(ValueError, match="SCRAM") as told:
        scram.step(first.encode())
    assert "pencil" not in str(told.value)
    assert ITERATIONS[0] == 4096


@pytest.mark.parametrize("last", [b"", b"v=AAAA", b"e=invalid-proof", b"x=1", b"\xff", b"v=\xc3\xa9"])
def test_scram_refuses_a_server_that_does_not_know_the_password(last: bytes) -> None:
    scram = Scram(WHO, NONCE)
    scram.start()
    scram.step(FIRST.encode())
    scram.work()
    with pytest.raises(ValueError, match="SCRAM"):
        scram.step(last)


def test_scram_against_a_server_of_the_test() -> None:
    scram = Scram(Credentials("a=b,c", password="I\u00adX\u00aa"))  # RFC 4013 §3: prepared, "IXa"
    first = scram.start().decode()
    assert first.startswith("n,,n=a=3Db=2Cc,r=")
    nonce = first.partition("r=")[2] + "srv"
    said = f"r={nonce},s={base64.b64encode(b'salt').decode()},i=5000,ext=1"
    scram.step(said.encode())
    without, _, proof = scram.work().decode().rpartition(",p=")
    salted = hashlib.pbkdf2_hmac("sha256", b"IXa", b"salt", 5000)
    message = f"{first[3:]},{said},{without}".encode()
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
    assert base64.b64decode(proof) == bytes(a ^ b for a, b in zip(key, signature, strict=True))
    final = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
    scram.step(b"v=" + base64.b64encode(final))
    assert scram.complete()


def test_nonces_differ() -> None:
    assert Scram(WHO).start() != Scram(WHO).start()


def test_plain() -> None:
    assert Plain(WHO).start() == b"\0user\0pencil"
    assert Plain(WHO).complete()
    with pytest.raises(ValueError, match="none belongs"):
        Plain(WHO).step(b"")
    with pytest.raises(ValueError, match="NUL"):
        Plain(Credentials("a\0b")).start()


def test_login() -> None:
    login = Login(WHO)
    assert login.start() is None
    assert [login.step(b"Username:"), login.step(b"Password:")] == [b"user", b"pencil"]
    assert login.complete()
    with pytest.raises(ValueError, match="third"):
        login.step(b"")
    assert not Login(WHO).complete()


def test_tokens() -> None:
    bearer = OauthBearer(SHOWN)
    assert bearer.start() == b"n,a=user,\1auth=Bearer t0ken\1\1"
    assert bearer.complete()
    assert bearer.step(b'{"status":"invalid_token"}') == b"\1"
    assert not bearer.complete()
    old = Xoauth2(SHOWN)
    assert old.start() == b"user=user\1auth=Bearer t0ken\1\1"
    assert old.step(b"{}") == b""
    with pytest.raises(ValueError, match="none belongs"):
        old.step(b"{}")


@pytest.mark.parametrize(
    ("offered", "credentials", "encrypted", "name"),
    [
        ({"PLAIN", "LOGIN", "SCRAM-SHA-256"}, WHO, True, "SCRAM-SHA-256"),
        ({"PLAIN", "LOGIN"}, WHO, True, "PLAIN"),
        ({"LOGIN"}, WHO, True, "LOGIN"),
        ({"PLAIN", "LOGIN"}, WHO, False, None),
        ({"PLAIN", "SCRAM-SHA-256"}, WHO, False, "SCRAM-SHA-256"),
        ({"CRAM-MD5"}, WHO, True, None),
        ({"PLAIN", "XOAUTH2", "OAUTHBEARER"}, SHOWN, True, "OAUTHBEARER"),
        ({"PLAIN", "XOAUTH2"}, SHOWN, True, "XOAUTH2"),
        ({"PLAIN", "XOAUTH2"}, SHOWN, False, None),
    ],
)
def test_choose(offered: set[str], credentials: Credentials, encrypted: bool, name: str | None) -> None:
    mechanism = choose(offered, credentials, encrypted=encrypted)
    assert (mechanism.name if mechanism else None) == name


def test_no_secret_is_shown() -> None:
    for thing in (WHO, SHOWN, Plain(WHO), Scram(WHO), OauthBearer(SHOWN)):
        assert "pencil" not in repr(thing) + str(thing)
        assert "t0ken" not in repr(thing) + str(thing)
        assert "user" in repr(thing)
