"""Tokens: whose count, and what is wrong with the others."""

import base64
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey

from fastsmtp.accounts.base import Refused, Unavailable
from fastsmtp.oauth.base import Vouched
from fastsmtp.oauth.keys import read_keys
from fastsmtp.oauth.settings import OauthSettings
from fastsmtp.oauth.tokens import LEEWAY, Found, JwtVerifier
from tests.fakes.clock import FakeClock
from tests.fakes.logins import FakeKeys
from tests.tools.jwt import AUDIENCE, ISSUER, NOW, Issuer, by_hmac

THEM = Issuer()
ALICE = Vouched("alice@example.org")


def verifier(keys: FakeKeys | None = None, **settings: Any) -> JwtVerifier:
    oauth = OauthSettings(issuer=ISSUER, audience=AUDIENCE, keys="keys.json", **settings)
    return JwtVerifier(oauth, keys or FakeKeys(read_keys(THEM.jwks)), FakeClock(wall=NOW))


def judged(token: str, **settings: Any) -> Found | None:
    def never(found: Found) -> None:
        raise AssertionError("told beside the answer")

    return verifier(**settings).verify(token, never)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA", "Ed25519"])
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_good_token(algorithm: str) -> None:
    assert judged(THEM.token(algorithm=algorithm)) == ALICE


def test_a_fault_while_a_token_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    one = verifier()
    monkeypatch.setattr(one, "_read", lambda token, candidates: {}["a secret"])
    found = one.verify(THEM.token(), lambda found: None)
    assert isinstance(found, Unavailable)
    assert found.reason.startswith("internal error, KeyError at ")


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["other", AUDIENCE]},
        {"email_verified": True},
        {"nbf": NOW - 5, "iat": NOW - 5},
        {"exp": NOW - LEEWAY + 1},
        {"nbf": NOW + LEEWAY},
        {"sub": "1234", "scope": "mail"},
    ],
)
def test_claims_that_do_no_harm(claims: dict[str, Any]) -> None:
    assert judged(THEM.token(claims)) == ALICE


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": None}, "iss"),
        ({"iss": "https://login.example.org/"}, "iss"),
        ({"iss": 5}, "iss"),
        ({"aud": None}, "aud"),
        ({"aud": "other"}, "aud"),
        ({"aud": ["other"]}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": AUDIENCE + "x"}, "aud"),
        ({"aud": {"a": AUDIENCE}}, "aud"),
        ({"exp": None}, "exp"),
        ({"exp": NOW - LEEWAY}, "exp"),
        ({"exp": "later"}, "exp"),
        ({"nbf": NOW + LEEWAY + 1}, "nbf"),
        ({"iat": NOW + LEEWAY + 1}, "iat"),
        ({"email": None}, "claim"),
        ({"email": ""}, "claim"),
        ({"email": ["alice@example.org"]}, "claim"),
        ({"email_verified": False}, "verified"),
        ({"email_verified": "false"}, "verified"),
    ],
)
def test_claims_that_are_refused(claims: dict[str, Any], reason: str) -> None:
    found = judged(THEM.token(claims))
    assert isinstance(found, Refused)
    assert reason in found.reason


def test_another_claim_names_the_login() -> None:
    token = THEM.token({"upn": "bob@example.org", "email_verified": False})
    assert judged(token, claim="upn") == Vouched("bob@example.org")


def test_only_algorithms_of_the_settings() -> None:
    assert isinstance(judged(THEM.token(), algorithms=("RS256",)), Refused)
    assert judged(THEM.token(algorithm="RS256"), algorithms=("RS256",)) == ALICE


def test_a_signature_of_somebody_else() -> None:
    theirs = ECKey.generate_key("P-256", {"kid": "ec"})
    assert judged(THEM.token(key=theirs)) == Refused("token: bad_signature")


def test_a_public_key_taken_for_a_secret() -> None:
    """RFC 8725 §2.1: HMAC with what everybody knows."""
    public = THEM.keys["RS256"].as_pem(private=False)
    assert judged(by_hmac(THEM.token(), public, "rsa")) == Refused("token: unsupported_algorithm")


def test_no_signature() -> None:
    head, body, _ = THEM.token().split(".")
    nothing = (
        base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "ec"}).encode()).rstrip(b"=").decode()
    )
    assert judged(f"{nothing}.{body}.") == Refused("token: unsupported_algorithm")
    assert judged(f"{head}.{body}.") == Refused("token: bad_signature")


@pytest.mark.parametrize(
    "token", ["x", "a.b", "a.b.c", "....", "e30.e30.e30", "W10.W10.W10", "a" * 8000, "é.é.é"]
)
def test_what_is_no_token(token: str) -> None:
    found = judged(token)
    assert isinstance(found, Refused)
    assert token not in found.reason


def test_nothing_of_the_token_is_in_a_reason() -> None:
    for token in (
        THEM.token({"email": "", "iss": "leak"}),
        THEM.token(kid="leak"),
        THEM.token(crit=["leak"], leak=1),
    ):
        found = judged(token)
        assert isinstance(found, Refused)
        assert "leak" not in found.reason


def test_a_token_that_names_no_key() -> None:
    """All that may have made it are tried."""
    assert judged(THEM.token(kid=None)) == ALICE
    assert judged(THEM.token(algorithm="RS256", kid=None)) == ALICE
    other = ECKey.generate_key("P-256")
    assert isinstance(judged(THEM.token(key=other, kid=None)), Refused)


def test_header_fields_that_nobody_knows() -> None:
    assert judged(THEM.token(nonce="x", x5t="y" * 600)) == ALICE


def test_no_keys_yet() -> None:
    assert isinstance(verifier(FakeKeys(None)).verify(THEM.token(), lambda found: None), Unavailable)


def test_a_new_key_is_waited_for() -> None:
    told: list[Found] = []
    keys = FakeKeys(None, renews=True)
    checked = verifier(keys)
    assert checked.verify(THEM.token(), told.append) is None
    keys.current = read_keys(THEM.jwks)
    keys.waiting.pop()()
    new = ECKey.generate_key("P-256", {"kid": "new"})
    assert checked.verify(THEM.token(key=new), told.append) is None
    keys.waiting.pop()()
    assert told == [ALICE, Refused("token: signed with a key that is not among the issuer's")]
    assert checked.verify(THEM.token(), told.append) == ALICE
