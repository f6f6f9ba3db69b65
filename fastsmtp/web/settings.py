"""The ``[http]`` and ``[[webhooks]]`` tables."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from fastsmtp.config.secrets import SecretStruct
from fastsmtp.config.values import Duration, Endpoint, parse_endpoint, parse_network

Right = Literal["admin", "send"]
Kind = Literal[
    "received",
    "routed",
    "sent",
    "delivered",
    "deferred",
    "bounced",
    "expired",
    "failed",
    "notified",
    "untold",
    "changed",
]
"""Kinds of events in a message's life; see `fastsmtp.telemetry.events`."""

SHORTEST = 16
"""Characters of a token or a secret, at least: nobody shall guess it."""

_FILE = (
    "A file whose first line is the {}, or `credential:NAME`, of systemd's `LoadCredential=`. "
    "Either this or `{}`."
)
_Text = Annotated[
    str,
    Meta(
        min_length=1,
        description="The same itself, for a settings file that nobody else can read.",
        extra={"secret": True},
    ),
]
Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]


class TokenSettings(SecretStruct, frozen=True, kw_only=True):
    """A token that a program shows as `Authorization: Bearer TOKEN`. The table may stand several times."""

    name: Annotated[
        Name,
        Meta(
            description="What it is called in the log and by limits: lower-case letters, digits and hyphens.",
            examples=["shop"],
        ),
    ]
    token_file: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description=_FILE.format("token", "token"),
                examples=["/etc/fastsmtp/shop.token"],
            ),
        ]
        | None
    ) = None
    token: _Text | None = None
    may: Annotated[
        tuple[Right, ...],
        Meta(description="`admin`: everything below /v1 but sending; `send`: `POST /v1/messages`."),
    ] = ("send",)
    senders: Annotated[
        tuple[str, ...],
        Meta(
            description="Addresses it may send as: `user@domain`, `@domain` for all of one, `*` for any.",
        ),
    ] = ()

    def __post_init__(self) -> None:
        _one_secret("token", self.token, self.token_file)
        if "send" in self.may and not self.senders:
            raise ValueError('senders: a token that may send needs them; "*" stands for any address')


class HttpSettings(Struct, frozen=True, kw_only=True):
    """Metrics, health, administration and sending over HTTP; needs the extra `web`. See docs/http.md."""

    address: (
        Annotated[
            str,
            Meta(
                description="IP address and port to listen on. Absent: no HTTP.",
                examples=["127.0.0.1:8025"],
            ),
        ]
        | None
    ) = None
    tls: Annotated[
        bool,
        Meta(
            description="Whether it is HTTPS, with the certificates of `[tls]`. Without, tokens and passwords are "
            "taken from this machine only."
        ),
    ] = False
    networks: Annotated[
        tuple[str, ...],
        Meta(
            description="Who may ask at all, and so who may read `/metrics`, `/livez` and `/readyz`, which need no "
            "token. Others get 403."
        ),
    ] = ("127.0.0.0/8", "::1")
    tokens: tuple[TokenSettings, ...] = ()

    def __post_init__(self) -> None:
        try:
            if self.address is not None:
                parse_endpoint(self.address)
        except ValueError as error:
            raise ValueError(f"address: {error}") from None
        for text in self.networks:
            try:
                parse_network(text)
            except ValueError as error:
                raise ValueError(f"networks: {error}") from None
        _all_different("tokens", [one.name for one in self.tokens])

    @property
    def endpoint(self) -> Endpoint | None:
        """The address in parts."""
        return None if self.address is None else parse_endpoint(self.address)


class WebhookSettings(SecretStruct, frozen=True, kw_only=True):
    """A URL that is told what becomes of messages, by signed POST requests. The table may stand several times; it
    reads the ledger. See docs/http.md."""

    name: Annotated[
        Name,
        Meta(
            description="What it is called in the log and the metrics, and where is kept how far it has been told.",
            examples=["shop"],
        ),
    ]
    url: Annotated[
        str,
        Meta(
            description="Where to post: `https://…`, or `http://…`.",
            examples=["https://shop.example/mail-events"],
        ),
    ]
    secret_file: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description=_FILE.format("secret that requests are signed with", "secret"),
                examples=["/etc/fastsmtp/shop.secret"],
            ),
        ]
        | None
    ) = None
    secret: _Text | None = None
    events: Annotated[
        tuple[Kind, ...],
        Meta(min_length=1, description="The kinds of events it is told; docs/logging.md says what each is."),
    ] = ("sent", "delivered", "deferred", "bounced", "expired", "failed")
    timeout: Annotated[
        Duration,
        Meta(description="How long one request may take.", extra={"between": ("1s", "5m")}),
    ] = Duration(10)
    give_up: Annotated[
        Duration,
        Meta(
            description="How long the same events are tried. Those after them wait meanwhile.",
            extra={"between": ("1m", "30d")},
        ),
    ] = Duration(3 * 86_400)

    def __post_init__(self) -> None:
        _one_secret("secret", self.secret, self.secret_file)
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None
            _ = parts.port
        except ValueError:
            good = False
        if not good or not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            raise ValueError('url: expected a URL such as "https://shop.example/mail-events"')


def all_webhooks_differ(webhooks: tuple[WebhookSettings, ...]) -> None:
    """Raises ValueError when two have one name."""
    _all_different("webhooks", [one.name for one in webhooks])


def _one_secret(key: str, value: str | None, file: str | None) -> None:
    if (value is None) == (file is None):
        raise ValueError(f"{key}_file: expected either {key}_file or {key}")
    if value is not None and len(value) < SHORTEST:
        raise ValueError(
            f"{key}: shorter than {SHORTEST} characters; `openssl rand -hex 32` makes a good one"
        )


def _all_different(key: str, names: list[str]) -> None:
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ValueError(f'{key}[{i}].name: "{name}" is the name of {key}[{names.index(name)}] too')
