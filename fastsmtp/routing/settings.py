"""The ``[relay]``, ``[[routes]]``, ``[credentials.NAME]`` and ``[forwarding]`` tables."""

from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.config.secrets import PasswordText, SecretStruct
from fastsmtp.config.values import Duration, check_hostname, parse_network
from fastsmtp.routing.addresses import parse_domain
from fastsmtp.routing.destinations import parse_destination
from fastsmtp.routing.match import parse_match
from fastsmtp.routing.route import TlsPolicy

VERIFY = "verify"


class VerifySettings(Struct, frozen=True, kw_only=True):
    """How next hops are asked for recipients, with `relay.recipients = "verify"`. Each worker remembers the answers
    until it ends."""

    timeout: Annotated[
        Duration,
        Meta(
            extra={"between": ("1s", "2m")},
            description="How long a client waits for the answer to RCPT. Then it is told to come again, and the "
            "question goes on.",
        ),
    ] = Duration(10)
    known: Annotated[
        Duration,
        Meta(
            extra={"between": ("1m", "365d")},
            description="How long a recipient counts as known after the next hop has taken it.",
        ),
    ] = Duration(31 * 86_400)
    refresh: Annotated[
        Duration,
        Meta(
            extra={"between": ("1m", "365d")},
            description="Age at which the next hop is asked again for a known recipient, while mail is taken.",
        ),
    ] = Duration(7 * 86_400)
    unknown: Annotated[
        Duration,
        Meta(
            extra={"between": ("0s", "7d")},
            description="How long a recipient is refused after the next hop has refused it.",
        ),
    ] = Duration(3 * 3600)
    retry: Annotated[
        Duration,
        Meta(
            extra={"between": ("1s", "1h")},
            description="How long a next hop that gave no answer is not asked again.",
        ),
    ] = Duration(60)
    entries: Annotated[
        int,
        Meta(
            ge=100,
            le=10_000_000,
            description="Recipients that a worker remembers at most: known ones, of 0.5 KB, and as many others, of "
            "1 KB.",
        ),
    ] = 50_000


class RelaySettings(Struct, frozen=True, kw_only=True):
    """Who may send to other domains than ours."""

    networks: Annotated[
        tuple[str, ...],
        Meta(
            description='Networks that may send to other domains, such as `"10.0.0.0/8"` or `"::1"`.',
            examples=[["127.0.0.0/8", "::1"]],
        ),
    ] = ()
    domains: Annotated[
        tuple[str, ...],
        Meta(
            description="Domains that live elsewhere and whose mail is taken from anybody: `corp.example`, or "
            "`*.corp.example` for all below it. It goes where `[[routes]]` says, or to the domain's MX."
        ),
    ] = ()
    recipients: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="Who exists in `relay.domains`: a file of addresses, one a line, `@domain` for a whole "
                'domain, read again when it changes; or `"verify"`: the next hop is asked before a recipient is '
                "taken from a stranger. Absent: everybody.",
            ),
        ]
        | None
    ) = None
    verify: VerifySettings = VerifySettings()

    def __post_init__(self) -> None:
        for i, text in enumerate(self.networks):
            try:
                parse_network(text)
            except ValueError as error:
                raise ValueError(f"networks[{i}]: {error}") from None
        for i, text in enumerate(self.domains):
            try:
                parse_domain(text.removeprefix("*."))
            except ValueError:
                raise ValueError(
                    f'domains[{i}]: expected a domain such as "corp.example" or "*.corp.example", got "{text}"'
                ) from None
        if self.recipients is not None and "\0" in self.recipients:
            raise ValueError("recipients: expected a path without NUL")


class RouteSettings(Struct, frozen=True, kw_only=True):
    """Where mail goes. Of several matches the most specific one counts, in whatever order they stand: an address,
    `user@*`, a domain, `*.domain`, `*`. Without a route, mail for `mailboxes.domains` goes into the mailboxes and
    all other mail to the MX of its domain; for `mailboxes.domains` only the first three count."""

    match: Annotated[
        str,
        Meta(
            description="Which recipients: `user@domain`, `user@*` (in every domain of `mailboxes.domains` and "
            "`relay.domains`), `domain`, `*.domain` (all below it, not itself) or `*`.",
            examples=["far.test"],
        ),
    ]
    to: Annotated[
        tuple[str, ...],
        Meta(
            description="`host:port`, `lmtp:host:port`, `mx` (the hosts of the recipient's domain), `mx:domain`, "
            "`local` (the mailboxes) or `reject:text`; a list of hosts is in order of preference.",
            examples=["127.0.0.1:2502"],
            extra={"single": True},
        ),
    ]
    credentials: (
        Annotated[
            str, Meta(min_length=1, description="Log in at the host with `[credentials.NAME]` of this name.")
        ]
        | None
    ) = None
    tls: (
        Annotated[
            TlsPolicy,
            Meta(
                description="TLS to the host: `none`, `may` (when offered), `encrypt`, `verify` (a certificate that "
                "matches) or `dane`.",
                extra={"default": "none set; with credentials verify"},
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        try:
            parse_match(self.match)
        except ValueError as error:
            raise ValueError(f"match: {error}") from None
        parse_destination(self.to, self.credentials, self.tls)


class CredentialSettings(SecretStruct, frozen=True, kw_only=True):
    """A name and a password for a next hop that asks for them, for `credentials` of a route."""

    user: Annotated[
        str, Meta(min_length=1, description="The user's name there.", examples=["mail@example.org"])
    ]
    password_file: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="The file whose first line is the password; the server's user must be able to read it, "
                "others should not. Or `credential:NAME`, of systemd's `LoadCredential=`.",
                examples=["/etc/fastsmtp/smarthost.password"],
            ),
        ]
        | None
    ) = None
    password: PasswordText | None = None

    def __post_init__(self) -> None:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("password_file: expected either password_file or password")
        if self.password_file is not None and "\0" in self.password_file:
            raise ValueError("password_file: expected a path without NUL")


class ForwardingSettings(Struct, frozen=True, kw_only=True):
    """What becomes of mail that an alias sends on."""

    expansion: Annotated[
        int, Meta(ge=1, le=100_000, description="Recipients that one address may stand for at most.")
    ] = 1000
    aliases_file: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="A file of aliases as Unix machines have it, such as `/etc/aliases`, read again when it "
                "changes. Its names hold in every domain of `mailboxes.domains`; those of `[aliases]` go first.",
            ),
        ]
        | None
    ) = None
    srs_domain: (
        Annotated[
            str,
            Meta(
                description="The domain of the senders of mail that is forwarded to other hosts (SRS): bounces to it "
                "must come to this server.",
                extra={"default": "the first of mailboxes.domains, else hostname"},
            ),
        ]
        | None
    ) = None

    def __post_init__(self) -> None:
        if self.srs_domain is not None:
            try:
                check_hostname(self.srs_domain)
            except ValueError as error:
                raise ValueError(f"srs_domain: {error}") from None
