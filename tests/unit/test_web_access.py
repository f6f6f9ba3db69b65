"""Who a request is from."""

import asyncio
from typing import Any

import pytest

from fastsmtp.control.mail import LoginAnswer, Said
from fastsmtp.web.access import Access, Client, Token
from fastsmtp.web.problem import Problem, ProblemBody
from fastsmtp.web.settings import HttpSettings, TokenSettings, WebhookSettings

PRIVATE = Client("127.0.0.1", False, True)
SECRET = "0123456789abcdef"


class OneHub:
    """A hub whose worker gives one answer to logins."""

    def __init__(self, answer: LoginAnswer) -> None:
        self.answer = answer

    async def any(self, verb: str, argument: object, form: Any) -> Any:
        assert verb == "mail.login"
        return self.answer


def access(answer: LoginAnswer | None = None, **settings: Any) -> Access:
    hub: Any = OneHub(answer or LoginAnswer(Said(535, "5.7.8", "no")))
    token = Token("shop", SECRET, frozenset(("send",)), ("@Shop.test",))
    return Access(HttpSettings(**settings), [token], hub, lambda ip: None)


def refused(answer: LoginAnswer) -> tuple[int, str]:
    with pytest.raises(Problem) as caught:
        asyncio.run(access(answer).user(PRIVATE, "Basic YTpi", "send"))
    return caught.value.status, caught.value.detail


def test_tokens() -> None:
    user = asyncio.run(access().user(PRIVATE, f"Bearer  {SECRET} ", "send"))
    assert (user.name, user.senders, user.key) == ("shop", ("@shop.test",), "token shop")


def test_accounts() -> None:
    good = LoginAnswer(Said(235, "2.7.0", "yes"), "a@b.test", ("@c.test",))
    user = asyncio.run(access(good).user(PRIVATE, "bAsIc YTpi", "send"))
    assert (user.name, user.senders, user.login_senders) == ("a@b.test", None, ("@c.test",))
    assert user.key == "account a@b.test"


def test_why_not() -> None:
    assert refused(LoginAnswer(Said(535, "5.7.8", "x"))) == (401, "name or password is wrong")
    assert refused(LoginAnswer(Said(454, "4.7.0", "later"))) == (503, "later")
    assert refused(LoginAnswer(Said(421, "4.7.0", "too often"))) == (429, "too often")
    assert refused(LoginAnswer(Said(504, "5.5.4", "x")))[0] == 403


def test_networks() -> None:
    found = access(networks=("192.0.2.0/24", "2001:db8::/32"))
    assert [
        found.admits(ip) for ip in ("192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "127.0.0.1", "", "x")
    ] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"address": "localhost:80"}, "address: expected an IP address"),
        ({"networks": ("10.0.0.1/8",)}, "networks: "),
        ({"tokens": (TokenSettings(name="a", token=SECRET, may=("admin",)),) * 2}, r"tokens\[1\].name: "),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        HttpSettings(**settings)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "token_file: expected either"),
        ({"token": SECRET, "token_file": "x"}, "token_file: expected either"),
        ({"token": "short"}, "token: shorter than 16"),
        ({"token": SECRET}, "senders: "),
    ],
)
def test_tokens_that_cannot_be(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TokenSettings(name="a", **settings)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://x",
        "https://",
        "http://u:p@x/",
        "http://x:70000/",
        "http://x/\r\nX: y",
        "http://x/ y",
        "http://ü/",
        "x",
    ],
)
def test_urls_that_cannot_be(url: str) -> None:
    with pytest.raises(ValueError, match="url: expected"):
        WebhookSettings(name="a", url=url, secret=SECRET)


def test_secrets_are_shown_to_nobody() -> None:
    for shown in (
        TokenSettings(name="a", token=SECRET, may=("admin",)),
        WebhookSettings(name="a", url="http://x/", secret=SECRET),
        Token("a", SECRET, frozenset(), ()),
    ):
        assert SECRET not in repr(shown)


def test_problems_are_as_the_description_says() -> None:
    body = Problem(404, "no", more={"x": 1}).body()
    assert set(ProblemBody.__struct_fields__) <= set(body)
    assert (body["title"], body["status"], body["x"]) == ("Not Found", 404, 1)
