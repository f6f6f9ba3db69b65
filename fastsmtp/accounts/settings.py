"""The ``[accounts]`` table."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from fastsmtp.accounts.names import canonical_domain
from fastsmtp.config.secrets import PasswordText, SecretStruct
from fastsmtp.config.values import Duration, check_hostname, parse_ip

Backend = Literal["static", "embedded", "passwd-file", "sqlite", "postgresql", "ldap", "dovecot", "pam"]


class HashSettings(Struct, frozen=True, kw_only=True):
    """What a password costs. A worker uses `memory` times `threads` for it, and no more, however many log in."""

    memory: Annotated[
        int,
        Meta(ge=8192, le=4_194_304, description="Memory of one argon2id hash.", extra={"unit": "KiB"}),
    ] = 19_456
    passes: Annotated[int, Meta(ge=1, le=100, description="How often argon2id passes over its memory.")] = 2
    threads: Annotated[
        int, Meta(ge=1, le=16, description="Passwords that a worker checks at the same time, each in a thread.")
    ] = 1
    waiting: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Passwords that may wait for one of the threads of a worker. Whoever comes when there are so "
            "many is told to come back later (454).",
        ),
    ] = 64
    remembered: Annotated[
        Duration,
        Meta(
            description="How long a password that was right is known again without hashing it, as a keyed digest in "
            "memory; for nobody longer than until it is changed. `0s`: never.",
            extra={"between": ("0s", "1h")},
        ),
    ] = Duration(300)


_LOGIN = (
    "Query for one login, `user@domain` in lower case, which stands for {}. It gives one row with a column "
    "`password`, a hash as in docs/accounts.md, and where there are such columns `disabled` (true: may not log in) "
    "and `senders` (further addresses to send as, with blanks between)."
)
_NAMES = (
    "Query for all logins, in its first column. They are who receives mail in `mailboxes.domains`, beside "
    "`mailboxes.users`."
)


def _check_one_password(password: str | None, file: str | None) -> None:
    if password is not None and file is not None:
        raise ValueError("password_file: expected either password_file or password")


class SqliteSettings(Struct, frozen=True, kw_only=True):
    """The database of the backend `sqlite`, which is only read."""

    file: Annotated[str, Meta(description="The database.", examples=["/var/lib/shop/accounts.db"])]
    login: Annotated[str, Meta(description=_LOGIN.format("`?`"))] = (
        "SELECT password FROM users WHERE login = ?"
    )
    names: Annotated[str, Meta(description=_NAMES)] = "SELECT login FROM users"


class PostgresqlSettings(SecretStruct, frozen=True, kw_only=True):
    """The database of the backend `postgresql`, which is only read; needs the extra of that name."""

    url: Annotated[
        str,
        Meta(
            description="Where it is: `postgresql://user@host/database`. A password is better kept elsewhere.",
            extra={"secret": True},
            examples=["postgresql://fastsmtp@127.0.0.1/mail"],
        ),
    ]
    password_file: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="A file whose first line is the password, or `credential:NAME`, of systemd's "
                "`LoadCredential=`.",
            ),
        ]
        | None
    ) = None
    password: PasswordText | None = None
    login: Annotated[str, Meta(description=_LOGIN.format("`$1`"))] = (
        "SELECT password FROM users WHERE login = $1"
    )
    names: Annotated[str, Meta(description=_NAMES)] = "SELECT login FROM users"
    refresh: Annotated[
        Duration,
        Meta(description="How often all logins are read again.", extra={"between": ("1s", "1d")}),
    ] = Duration(30)

    def __post_init__(self) -> None:
        _check_one_password(self.password, self.password_file)


class LdapSettings(SecretStruct, frozen=True, kw_only=True):
    """The directory of the backend `ldap`; needs the extra of that name."""

    url: Annotated[
        str,
        Meta(
            description="Where it is: `ldaps://host`, or `ldap://host` with `starttls` or on loopback.",
            examples=["ldaps://ldap.example.org"],
        ),
    ]
    base: Annotated[
        str, Meta(description="Below which entry accounts are.", examples=["ou=people,dc=example,dc=org"])
    ]
    starttls: Annotated[bool, Meta(description="Whether TLS begins by STARTTLS.")] = False
    ca_file: (
        Annotated[str, Meta(description="Certificates that vouch for the directory's; absent: the system's.")]
        | None
    ) = None
    bind: (
        Annotated[str, Meta(description="The entry that may search; absent: nobody's name is given.")] | None
    ) = None
    password_file: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="A file whose first line is the password of `bind`, or `credential:NAME`, of systemd's "
                "`LoadCredential=`.",
            ),
        ]
        | None
    ) = None
    password: PasswordText | None = None
    filter: Annotated[
        str,
        Meta(
            description="What finds the entry of one login: `{login}` is `user@domain` in lower case, `{user}` and "
            "`{domain}` its parts."
        ),
    ] = "(mail={login})"
    senders: (
        Annotated[str, Meta(description="Attribute with further addresses to send as; absent: none.")] | None
    ) = None
    names: Annotated[
        str,
        Meta(
            description="What finds all accounts. They are who receives mail in `mailboxes.domains`, beside "
            "`mailboxes.users`."
        ),
    ] = "(mail=*)"
    attribute: Annotated[str, Meta(description="Attribute that has the login of an account.")] = "mail"
    refresh: Annotated[
        Duration,
        Meta(description="How often all accounts are read again.", extra={"between": ("1s", "1d")}),
    ] = Duration(60)

    def __post_init__(self) -> None:
        _check_one_password(self.password, self.password_file)
        address = urlsplit(self.url)
        if address.scheme not in ("ldap", "ldaps") or not address.hostname:
            raise ValueError(f'url: expected "ldaps://host" or "ldap://host", got "{self.url}"')
        local = address.hostname == "localhost" or getattr(parse_ip(address.hostname), "is_loopback", False)
        if address.scheme == "ldap" and not self.starttls and not local:
            raise ValueError('url: passwords would go in clear; use "ldaps://", or set starttls = true')


class DovecotSettings(Struct, frozen=True, kw_only=True):
    """Where the backend `dovecot` asks."""

    socket: Annotated[
        str,
        Meta(description="The socket of Dovecot's `service auth` that clients such as Postfix use."),
    ] = "/run/dovecot/auth-client"


class PamSettings(Struct, frozen=True, kw_only=True):
    """Whom the backend `pam` asks; needs the extra of that name."""

    service: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$",
            description="PAM's service: a file of that name in `/etc/pam.d`.",
        ),
    ] = "fastsmtp"


class AccountSettings(Struct, frozen=True, kw_only=True):
    """Who may log in, and where accounts are kept. See docs/accounts.md."""

    backend: Annotated[
        Backend,
        Meta(
            description="`static`: those of `mailboxes.users`, none of whom can log in. `embedded`: a database in "
            "`data_dir`, kept by `fastsmtp user`, `domain` and `alias`. `passwd-file`: a file that Dovecot reads "
            "too. `sqlite`, `postgresql`: a table of your own. `ldap`: a directory. `dovecot`, `pam`: are asked.",
            examples=["embedded"],
        ),
    ] = "static"
    login_domain: (
        Annotated[
            str,
            Meta(description="The domain of whoever logs in with a bare name; absent: bare names are refused."),
        ]
        | None
    ) = None
    scram_iterations: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Iterations of the SCRAM-SHA-256 keys that `fastsmtp user` keeps beside a password's hash, "
            "4,096 at least (RFC 7677 §4). With 0 none are kept, and whoever gets hold of the database has to guess "
            "against argon2id alone.",
        ),
    ] = 100_000
    file: (
        Annotated[str, Meta(description="The file of `passwd-file`: `alice@example.org:{ARGON2ID}$argon2id$…`.")]
        | None
    ) = None
    hash: HashSettings = HashSettings()
    sqlite: SqliteSettings | None = None
    postgresql: PostgresqlSettings | None = None
    ldap: LdapSettings | None = None
    dovecot: DovecotSettings = DovecotSettings()
    pam: PamSettings = PamSettings()

    def __post_init__(self) -> None:
        needed = {"passwd-file": "file", "sqlite": "sqlite", "postgresql": "postgresql", "ldap": "ldap"}
        for backend, key in needed.items():
            if self.backend == backend and getattr(self, key) is None:
                raise ValueError(f'{key}: missing; the backend "{backend}" needs it')
        if 0 < self.scram_iterations < 4096:
            raise ValueError("scram_iterations: expected 0, or at least 4_096 (RFC 7677 §4)")
        if self.login_domain is not None:
            try:
                check_hostname(canonical_domain(self.login_domain))
            except ValueError:
                raise ValueError(
                    f'login_domain: expected a domain such as "example.org", got "{self.login_domain}"'
                ) from None

    @property
    def home(self) -> str:
        """`login_domain`, canonical; empty when there is none."""
        return canonical_domain(self.login_domain or "")
