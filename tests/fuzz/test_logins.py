"""Invariant: whatever a client sends, an exchange ends or goes on without an exception, nobody logs in who does not
know the password of an account, and nothing that was sent is in what is said; tokens likewise."""

import base64
import json
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from fastsmtp.accounts.base import Identity, Refused
from fastsmtp.mail.reply import AUTH_MALFORMED, AUTH_REFUSED, Reply
from fastsmtp.oauth.base import Vouched
from fastsmtp.oauth.keys import KeysError, read_keys
from fastsmtp.oauth.settings import OauthSettings
from fastsmtp.oauth.tokens import JwtVerifier
from tests.fakes.clock import FakeClock
from tests.fakes.logins import TLS, UNBOUND, FakeKeys, FakeTokens, World
from tests.tools.fuzzing import fuzzed
from tests.tools.jwt import AUDIENCE, ISSUER, NOW, Issuer

MECHANISMS = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN"]
EXAMPLES = [
    b"\0alice@example.org\0Pa55word",
    b"n,,n=alice@example.org,r=abcdef",
    b"y,a=bob,n=alice@example.org,r=abcdef,x=1",
    b"p=tls-server-end-point,,n=alice@example.org,r=abcdef",
    b"c=biws,r=abcdef,p=" + base64.b64encode(bytes(32)),
    b"n,a=alice@example.org,\1auth=Bearer bad\1\1",
    b"user=alice@example.org\1auth=Bearer bad\1\1",
    b"alice@example.org",
    b"",
    b"\1",
]
pieces = st.one_of(
    st.sampled_from([*EXAMPLES, b"\0", b",", b"=", b"\1", b"\xff", b"m=", b"=2C"]), st.binary(max_size=8)
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """An example with something else in it, or octets put together."""
    if draw(st.booleans()):
        return b"".join(draw(st.lists(pieces, max_size=5)))
    example = draw(st.sampled_from(EXAMPLES))
    at, until = draw(st.integers(0, len(example))), draw(st.integers(0, len(example)))
    return example[:at] + draw(pieces) + example[until:]


@fuzzed
@given(
    st.sampled_from(MECHANISMS),
    st.booleans(),
    st.none() | messages(),
    st.lists(messages(), max_size=4),
    st.booleans(),
)
def test_nobody_logs_in(
    mechanism: str, bound: bool, initial: bytes | None, more: list[bytes], echo: bool
) -> None:
    world = World(tokens=FakeTokens())
    login = world.logins.begin(TLS if bound else UNBOUND, mechanism, world.steps.append)
    if isinstance(login, Reply):
        assert mechanism == "SCRAM-SHA-256-PLUS"
        return
    step = login.start(initial)
    while more and isinstance(step, bytes):
        said = more.pop()
        if echo and step.startswith(b"r="):  # keep to the nonce, or no proof would ever be looked at
            said = said.replace(b"r=abcdef", step.partition(b",")[0])
        step = login.receive(said)
    assert not isinstance(step, Identity)
    assert isinstance(step, bytes) or step in (AUTH_MALFORMED, AUTH_REFUSED)
    assert not isinstance(step, bytes) or not step.startswith(b"v=")
    assert len(world.book.lines) == isinstance(step, Reply)
    assert "Pa55word" not in str(world.reasons)


THEM = Issuer()
KEYS = FakeKeys(read_keys(THEM.jwks))
GOOD = THEM.token()
VERIFIER = JwtVerifier(
    OauthSettings(issuer=ISSUER, audience=AUDIENCE, keys="keys.json"), KEYS, FakeClock(wall=NOW)
)
json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["ES256", "ec", "none"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["alg", "kid", "crit", "b64", "zip", "typ", "jwk", "x"]), inner, max_size=4
        )
    ),
)


def never(found: object) -> None:
    raise AssertionError(found)


@fuzzed
@given(st.integers(0, len(GOOD)), st.integers(0, len(GOOD)), st.text("aA0-_.=é", max_size=4))
def test_a_token_that_was_changed(at: int, until: int, between: str) -> None:
    token = GOOD[:at] + between + GOOD[until:]
    found = VERIFIER.verify(token, never)
    assert isinstance(found, Refused) or (found == Vouched("alice@example.org") and _same(token))


def _same(token: str) -> bool:
    """The last character of base64 has bits that mean nothing."""
    return token[:-1] == GOOD[:-1] and len(token) == len(GOOD)


@fuzzed
@given(json_like)
def test_headers_of_all_kinds(header: object) -> None:
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    assert isinstance(VERIFIER.verify(f"{head}.{GOOD.partition('.')[2]}", never), Refused)


@fuzzed
@given(st.binary(max_size=40) | json_like.map(lambda value: str(value).encode()))
def test_keys_of_all_kinds(text: bytes) -> None:
    with suppress(KeysError):
        assert list(read_keys(text))
