"""SCRAM-SHA-256 and -PLUS from the server's side: the standard's example, another client, and what is no SCRAM."""

import base64
import hashlib
import hmac

import pytest
import scramp

from fastsmtp.sasl.scram_server import ScramServer
from fastsmtp.sasl.server import Failed, KeysWanted, Malformed, Proven

CLIENT, SERVER = "rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
FIRST = f"n,,n=user,r={CLIENT}".encode()
SAID = f"r={CLIENT}{SERVER},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096".encode()
PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
FINAL = f"c=biws,r={CLIENT}{SERVER},p={PROOF}".encode()
END_POINT = hashlib.sha256(b"a certificate").digest()


def keys(
    password: bytes = b"pencil", salt: bytes = SALT, iterations: int = 4096
) -> tuple[bytes, int, bytes, bytes]:
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return salt, iterations, hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256")


def begun(first: bytes = FIRST, *, plus_offered: bool = False, end_point: bytes | None = None) -> ScramServer:
    """An exchange that has said its first message."""
    scram = ScramServer(end_point=end_point, plus_offered=plus_offered, nonce=SERVER)
    assert scram.receive(first) == KeysWanted("user")
    assert scram.challenge(*keys()) == SAID
    return scram


def final(
    gs2: bytes,
    bound: bytes = b"",
    bare: str = f"n=user,r={CLIENT}",
    more: str = "",
    nonce: str = CLIENT + SERVER,
) -> bytes:
    """client-final-message, by the words of RFC 5802 §3."""
    without = f"c={base64.b64encode(gs2 + bound).decode()},r={nonce}{more}".encode()
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", SALT, 4096)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    message = bare.encode() + b"," + SAID + b"," + without
    signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    return without + b",p=" + base64.b64encode(proof)


def test_the_example_of_rfc_7677() -> None:
    scram = ScramServer(end_point=None, plus_offered=False, nonce=SERVER)
    assert scram.start() == b""
    assert scram.receive(FIRST) == KeysWanted("user")
    assert scram.challenge(*keys()) == SAID
    assert scram.receive(FINAL) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert scram.receive(b"") == Proven("user", "")


def test_the_server_has_a_nonce_of_its_own() -> None:
    said = set()
    for _ in range(3):
        scram = ScramServer(end_point=None, plus_offered=False)
        scram.receive(FIRST)
        nonce = scram.challenge(*keys()).partition(b",")[0].removeprefix(b"r=" + CLIENT.encode())
        assert len(nonce) >= 24
        said.add(nonce)
    assert len(said) == 3


@pytest.mark.parametrize("plus", [False, True], ids=["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
@pytest.mark.parametrize("password", ["pencil", "p\u00e4ss w\u00f6rd", "I\u00adX"])
def test_a_client_of_somebody_else(plus: bool, password: str) -> None:
    binding = ("tls-server-end-point", END_POINT) if plus else None
    name = "SCRAM-SHA-256-PLUS" if plus else "SCRAM-SHA-256"
    client = scramp.ScramClient([name], "a,b=c@example.org", password, channel_binding=binding)
    scram = ScramServer(end_point=END_POINT if plus else None, plus_offered=plus)
    assert scram.receive(client.get_client_first().encode()) == KeysWanted("a,b=c@example.org")
    prepared = {"I\u00adX": b"IX"}.get(password, password.encode())  # RFC 4013 §3
    client.set_server_first(scram.challenge(*keys(prepared, b"salt" * 5, 10_000)).decode())
    signature = scram.receive(client.get_client_final().encode())
    assert isinstance(signature, bytes)
    client.set_server_final(signature.decode())  # raises when the server does not know the password
    assert scram.receive(b"") == Proven("a,b=c@example.org", "")


def test_a_client_of_somebody_else_with_a_wrong_password() -> None:
    client = scramp.ScramClient(["SCRAM-SHA-256"], "user", "pen")
    scram = ScramServer(end_point=None, plus_offered=False)
    scram.receive(client.get_client_first().encode())
    client.set_server_first(scram.challenge(*keys()).decode())
    assert scram.receive(client.get_client_final().encode()) == Failed("wrong password")


def test_whom_to_act_as() -> None:
    scram = begun(b"n,a=some=2Cone,n=user,r=" + CLIENT.encode())
    assert scram.receive(final(b"n,a=some=2Cone,"))
    assert scram.receive(b"") == Proven("user", "some,one")


def test_extensions_that_are_not_mandatory() -> None:
    scram = begun(FIRST + b",x=1,y=a=b")
    assert scram.receive(final(b"n,,", bare=f"n=user,r={CLIENT},x=1,y=a=b", more=",z=5"))
    assert scram.receive(b"") == Proven("user", "")


@pytest.mark.parametrize("header", [b"n,,", b"y,,"])
def test_clients_without_channel_binding_where_it_is_not_offered(header: bytes) -> None:
    scram = begun(header + FIRST[3:])
    assert scram.receive(final(header))


def test_a_client_that_was_not_shown_plus() -> None:
    """RFC 5802 §6: ``y`` where -PLUS is offered: somebody has taken it out of the list."""
    scram = ScramServer(end_point=None, plus_offered=True)
    assert isinstance(said := scram.receive(b"y,," + FIRST[3:]), Failed)
    assert "between" in said.reason
    assert begun(plus_offered=True).receive(FINAL)  # ``n``: a client that cannot is served


def test_a_header_that_was_exchanged_on_the_way() -> None:
    """The client said ``y``; ``n`` arrived."""
    assert isinstance(begun(plus_offered=True).receive(final(b"y,,", bare=f"n=user,r={CLIENT}")), Failed)


def test_channel_binding() -> None:
    header = b"p=tls-server-end-point,,"
    scram = begun(header + FIRST[3:], end_point=END_POINT, plus_offered=True)
    assert scram.receive(final(header, END_POINT))
    assert scram.receive(b"") == Proven("user", "")


@pytest.mark.parametrize("bound", [b"", b"x", END_POINT[:-1], END_POINT + b"x", bytes(32)])
def test_the_channel_binding_of_another_connection(bound: bytes) -> None:
    header = b"p=tls-server-end-point,,"
    scram = begun(header + FIRST[3:], end_point=END_POINT, plus_offered=True)
    said = scram.receive(final(header, bound))
    assert isinstance(said, Failed)
    assert "between" in said.reason


@pytest.mark.parametrize("header", [b"p=tls-unique,,", b"p=tls-exporter,,"])
def test_channel_binding_of_another_type(header: bytes) -> None:
    scram = ScramServer(end_point=END_POINT, plus_offered=True)
    assert isinstance(scram.receive(header + FIRST[3:]), Failed)


@pytest.mark.parametrize("header", [b"n,,", b"y,,"])
def test_plus_without_channel_binding(header: bytes) -> None:
    with pytest.raises(Malformed, match="without channel binding"):
        ScramServer(end_point=END_POINT, plus_offered=True).receive(header + FIRST[3:])


def test_channel_binding_without_plus() -> None:
    with pytest.raises(Malformed, match="without -PLUS"):
        ScramServer(end_point=None, plus_offered=True).receive(b"p=tls-server-end-point,," + FIRST[3:])


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n,,",
        b"n,,n=user",
        b"n,,n=user,r=",
        b"n,,n=,r=abc",
        b"n,,r=abc,n=user",
        b"n,,n=user,r=a b",
        b"n,,n=user,r=a\0b",
        b"n,,n=user,r=a\xc3\xa9",
        b"n,,n=user,r=abc,",
        b"n,,n=user,r=abc,xx",
        b"n,,n=user,r=abc,1=x",
        b"n,,n=us=er,r=abc",
        b"n,,n=us\0er,r=abc",
        b"n,,n=\xff,r=abc",
        b"n,,m=must,n=user,r=abc",
        b"n,,n=user,r=" + b"x" * 513,
        b"n,,n=" + b"x" * 1025 + b",r=abc",
        b"x,,n=user,r=abc",
        b"n=user,r=abc",
    ],
)
def test_first_messages_that_are_none(first: bytes) -> None:
    with pytest.raises(Malformed, match=r"^SCRAM: "):
        ScramServer(end_point=None, plus_offered=False).receive(first)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        FINAL.partition(b",p=")[0],
        FINAL + b",x=1",
        FINAL.replace(b"c=biws", b"c="),
        FINAL.replace(b"c=biws", b"c=biw"),
        FINAL.replace(b"c=biws", b"d=biws"),
        FINAL.replace(b"c=biws,", b""),
        FINAL.replace(PROOF.encode(), b""),
        FINAL.replace(PROOF.encode(), b"AAAA"),
        FINAL.replace(PROOF.encode(), PROOF.encode() + b"AAAA"),
        FINAL.replace(PROOF.encode(), b"*" + PROOF.encode()[1:]),
        FINAL.replace(b"r=", b"r=\0"),
        b"\xff" + FINAL,
        FIRST,
    ],
)
def test_final_messages_that_are_none(message: bytes) -> None:
    with pytest.raises(Malformed, match=r"^SCRAM: ") as told:
        begun().receive(message)
    assert PROOF not in str(told.value)


@pytest.mark.parametrize(
    "message",
    [
        FINAL.replace(b"biws", base64.b64encode(b"y,,")),
        FINAL.replace(b"biws", base64.b64encode(b"n,,x")),
        FINAL.replace(CLIENT.encode(), b"another"),
        FINAL.replace(SERVER.encode(), b""),
        FINAL.replace(SERVER.encode(), SERVER.encode() + b"x"),
        FINAL.replace(PROOF.encode(), base64.b64encode(bytes(32))),
        FINAL.replace(b",p=", b",x=1,p="),
    ],
)
def test_final_messages_that_prove_nothing(message: bytes) -> None:
    assert isinstance(begun().receive(message), Failed)


def test_a_nonce_of_another_exchange() -> None:
    """The password is right, and the proof fits what is said."""
    assert begun().receive(final(b"n,,", nonce=CLIENT + "other")) == Failed(
        "the nonce is not that of this exchange"
    )


def test_more_than_nothing_after_the_signature() -> None:
    scram = begun()
    scram.receive(FINAL)
    with pytest.raises(Malformed, match="not empty"):
        scram.receive(b"x")


def test_iterations_cost_the_server_nothing() -> None:
    scram = ScramServer(end_point=None, plus_offered=False, nonce=SERVER)
    scram.receive(FIRST)
    assert scram.challenge(SALT, 2**31, bytes(32), bytes(32)).endswith(b",i=2147483648")
    assert scram.receive(FINAL) == Failed("wrong password")
