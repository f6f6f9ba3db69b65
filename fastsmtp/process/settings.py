"""All settings together: the struct the file is bound to, the embedded default, and what only the whole can
tell.

The tables are declared beside the code they are for; see ``settings.py`` in each package.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from fastsmtp.accounts.base import Names
from fastsmtp.accounts.names import canonical_domain, canonical_local
from fastsmtp.accounts.settings import AccountSettings
from fastsmtp.accounts.static import StaticDirectory, directory_problems
from fastsmtp.config.bind import bind
from fastsmtp.config.errors import SettingsError
from fastsmtp.config.load import load_toml
from fastsmtp.config.secrets import file_of
from fastsmtp.config.values import check_hostname
from fastsmtp.dns.settings import DnsSettings
from fastsmtp.ledger.settings import LedgerSettings
from fastsmtp.limits.settings import LimitSettings, PressureSettings
from fastsmtp.mailbox.settings import MailboxSettings
from fastsmtp.maildrop.settings import MaildropSettings
from fastsmtp.queue.plan.settings import PlanSettings
from fastsmtp.queue.settings import BounceSettings, QueueSettings
from fastsmtp.routing.account_words import parse_sender
from fastsmtp.routing.alias_file import FileAlias
from fastsmtp.routing.credentials import Credential
from fastsmtp.routing.relay import Recipients
from fastsmtp.routing.settings import (
    VERIFY,
    CredentialSettings,
    ForwardingSettings,
    RelaySettings,
    RouteSettings,
)
from fastsmtp.routing.tables import RoutingTables, build_tables
from fastsmtp.session.auth_settings import AuthSettings
from fastsmtp.session.listener_settings import ListenerSettings as ListenerSettings
from fastsmtp.session.settings import SessionSettings
from fastsmtp.spool.settings import Durability, SpoolSettings
from fastsmtp.telemetry.settings import LogSettings
from fastsmtp.tls.settings import TlsSettings
from fastsmtp.transport.smtp.settings import OutboundSettings
from fastsmtp.transport.smtp.tls_settings import TlsPolicySettings
from fastsmtp.web.settings import HttpSettings, WebhookSettings, all_webhooks_differ


def cpu_count() -> int:
    """CPUs this process may use."""
    return len(os.sched_getaffinity(0))


class Settings(Struct, frozen=True, kw_only=True):
    """One TOML file holds all settings. Keys that are not set keep their default; relative paths start at the
    directory of the file. `fastsmtp check -c FILE` says what is wrong with it."""

    hostname: Annotated[
        str,
        Meta(
            description="The name the server greets with and writes into Received.",
            examples=["mx.example.org"],
        ),
    ]
    data_dir: Annotated[
        Path,
        Meta(
            description="Directory of the spool, and of the lock that keeps a second server out.",
            examples=["/var/lib/fastsmtp"],
        ),
    ] = Path("/var/lib/fastsmtp")
    workers: Annotated[
        int, Meta(ge=1, le=256, description="Worker processes.", extra={"default": "the number of CPUs"})
    ] = msgspec.field(default_factory=cpu_count)
    durability: Annotated[
        Durability,
        Meta(
            description="What a 250 promises. `full`: the message survives a power cut. `relaxed`: a power "
            "cut may undo the last moments. `none`: for tests; only the death of a process is survived."
        ),
    ] = "full"
    accept: Annotated[
        Literal["reuseport", "shared"],
        Meta(description="`reuseport`: each worker has its own listening socket; `shared`: all use one."),
    ] = "reuseport"
    user: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="User to become after the ports are bound; only root can. Absent: no change.",
            ),
        ]
        | None
    ) = None
    shutdown_grace: Annotated[
        float,
        Meta(
            ge=0,
            le=3600,
            description="How long sessions in the middle of a transaction may go on at a stop.",
            extra={"unit": "seconds"},
        ),
    ] = 10
    drain_grace: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="How long sessions may go on that began before a reload, an upgrade or `fastsmtp drain`; "
            "then they get `shutdown_grace`.",
            extra={"unit": "seconds"},
        ),
    ] = 3600
    banner_delay: Annotated[
        float,
        Meta(
            ge=0,
            le=60,
            description="How long to wait before the banner; a client that talks meanwhile is refused. With 0, only "
            "one whose first bytes have come with the connection.",
            extra={"unit": "seconds"},
        ),
    ] = 0
    listeners: tuple[ListenerSettings, ...]
    tls: TlsSettings = TlsSettings()
    mailboxes: MailboxSettings
    maildrop: MaildropSettings = MaildropSettings()
    accounts: AccountSettings = AccountSettings()
    auth: AuthSettings = AuthSettings()
    relay: RelaySettings = RelaySettings()
    routes: tuple[RouteSettings, ...] = ()
    credentials: dict[str, CredentialSettings] = {}
    aliases: Annotated[
        dict[str, Annotated[tuple[str, ...], Meta(extra={"single": True})]],
        Meta(
            description="Addresses that stand for others, here or elsewhere. `@domain` catches what nobody else "
            "receives there, and may stand for another `@domain`: the same user of that one. An alias that names "
            "itself keeps a copy. With an alias `owner-NAME` beside it `NAME` is a list: bounces go to the owner.",
            examples=[
                {
                    "info@example.org": ["alice@example.org", "bob@far.test"],
                    "@example.org": ["alice@example.org"],
                }
            ],
        ),
    ] = {}
    forwarding: ForwardingSettings = ForwardingSettings()
    limits: LimitSettings = LimitSettings()
    pressure: PressureSettings = PressureSettings()
    spool: SpoolSettings = SpoolSettings()
    delivery: QueueSettings = QueueSettings()
    queue: PlanSettings = PlanSettings()
    bounces: BounceSettings = BounceSettings()
    outbound: OutboundSettings = OutboundSettings()
    tls_policy: TlsPolicySettings = TlsPolicySettings()
    dns: DnsSettings = DnsSettings()
    log: LogSettings = LogSettings()
    ledger: LedgerSettings = LedgerSettings()
    http: HttpSettings = HttpSettings()
    webhooks: tuple[WebhookSettings, ...] = ()

    @property
    def session(self) -> SessionSettings:
        """What a session needs of all this."""
        return SessionSettings(hostname=self.hostname, limits=self.limits, banner_delay=self.banner_delay)


def load_settings(file: Path | None) -> Settings:
    """The settings of ``file``, or `default_settings` without one.

    Raises `SettingsError`, each of its lines beginning with the file's name.
    """
    if file is None:
        return default_settings(Path.cwd())
    table = load_toml(file)
    try:
        return _absolute(checked(bind(table, Settings)), file.absolute().parent)
    except SettingsError as error:
        raise SettingsError(f"{file}: {problem}" for problem in error.problems) from None


def default_settings(base: Path) -> Settings:
    """For a first look: on loopback, any user of localhost exists, everything below ``base``/var. The spool is
    grown by less at once than a server's: somebody who only looks has not set 128 MiB a worker aside."""
    settings = Settings(
        hostname="localhost",
        data_dir=Path("var/data"),
        listeners=(ListenerSettings(address="127.0.0.1:2525"),),
        mailboxes=MailboxSettings(
            domains=("localhost",), path="var/mail/{domain}/{user}", unknown_users="create"
        ),
        limits=LimitSettings(loopback_exempt=True),
        spool=SpoolSettings(reserve=16 << 20, ahead=16 << 20),
    )
    return _absolute(checked(settings), base)


def checked(settings: Settings) -> Settings:
    """The same ``settings``. Raises `SettingsError` when values that are good one by one contradict each other; it
    goes through all routes and aliases, so that a file's are checked once, when they are loaded."""
    problems = list(_contradictions(settings))
    if problems:
        raise SettingsError(problems)
    return settings


def _absolute(settings: Settings, base: Path) -> Settings:
    relay, change = settings.relay, msgspec.structs.replace
    if relay.recipients not in (None, VERIFY):
        relay = change(relay, recipients=str(base / relay.recipients))
    credentials = {
        name: one
        if one.password_file is None
        else change(one, password_file=file_of(base, one.password_file))
        for name, one in settings.credentials.items()
    }
    mailboxes = change(settings.mailboxes, path=str(base / settings.mailboxes.path))
    tls = change(
        settings.tls,
        certificates=tuple(
            change(one, cert=file_of(base, one.cert), key=file_of(base, one.key))
            for one in settings.tls.certificates
        ),
        client_ca=settings.tls.client_ca and str(base / settings.tls.client_ca),
    )
    accounts = settings.accounts
    if accounts.file is not None:
        accounts = change(accounts, file=str(base / accounts.file))
    if accounts.sqlite is not None:
        accounts = change(accounts, sqlite=change(accounts.sqlite, file=str(base / accounts.sqlite.file)))
    auth = settings.auth
    if auth.oauth is not None and not auth.oauth.by_https:
        auth = change(auth, oauth=change(auth.oauth, keys=str(base / auth.oauth.keys)))
    if accounts.ldap is not None:
        ldap = accounts.ldap
        accounts = change(
            accounts,
            ldap=change(
                ldap,
                ca_file=ldap.ca_file and str(base / ldap.ca_file),
                password_file=ldap.password_file and file_of(base, ldap.password_file),
            ),
        )
    if accounts.postgresql is not None and accounts.postgresql.password_file is not None:
        file = file_of(base, accounts.postgresql.password_file)
        accounts = change(accounts, postgresql=change(accounts.postgresql, password_file=file))
    http = change(
        settings.http,
        tokens=tuple(
            one if one.token_file is None else change(one, token_file=file_of(base, one.token_file))
            for one in settings.http.tokens
        ),
    )
    webhooks = tuple(
        one if one.secret_file is None else change(one, secret_file=file_of(base, one.secret_file))
        for one in settings.webhooks
    )
    outbound = settings.outbound
    return change(
        settings,
        outbound=change(outbound, ca_file=outbound.ca_file and str(base / outbound.ca_file)),
        http=http,
        webhooks=webhooks,
        accounts=accounts,
        auth=auth,
        data_dir=base / settings.data_dir,
        log=settings.log
        if settings.log.file is None
        else change(settings.log, to=str(base / settings.log.file)),
        mailboxes=mailboxes,
        forwarding=change(
            settings.forwarding,
            aliases_file=settings.forwarding.aliases_file and str(base / settings.forwarding.aliases_file),
        ),
        maildrop=change(
            settings.maildrop, path=settings.maildrop.path and str(base / settings.maildrop.path)
        ),
        relay=relay,
        credentials=credentials,
        tls=tls,
    )


def routing_of(
    settings: Settings,
    recipients: Recipients | None = None,
    logins: Mapping[str, Credential] | None = None,
    names: Names | None = None,
    filed: Mapping[str, FileAlias] | None = None,
) -> RoutingTables:
    """The tables that say where mail goes; ``recipients``, ``logins`` and ``filed`` (aliases) are what was read from
    the files that are named, ``names`` those of the backend of accounts. Raises `SettingsError`."""
    return build_tables(
        StaticDirectory(settings.mailboxes, names),
        domains=settings.mailboxes.domains,
        relay=settings.relay,
        routes=settings.routes,
        aliases=settings.aliases,
        credentials=settings.credentials,
        forwarding=settings.forwarding,
        recipients=recipients,
        logins=logins,
        promised=StaticDirectory(_promised(settings)),
        filed=filed,
    )


def _promised(settings: Settings) -> MailboxSettings:
    """With a backend that has users of its own, any name may be one."""
    if settings.accounts.backend == "static":
        return settings.mailboxes
    return msgspec.structs.replace(settings.mailboxes, unknown_users="create")


def srs_domain(settings: Settings) -> str:
    """The domain of rewritten senders."""
    chosen = settings.forwarding.srs_domain or next(iter(settings.mailboxes.domains), settings.hostname)
    return canonical_domain(chosen)


def _contradictions(settings: Settings) -> Iterator[str]:
    """What is wrong with values that are good one by one."""
    try:
        check_hostname(settings.hostname)
    except ValueError as error:
        yield f"hostname: {error}"
    if not settings.listeners:
        yield "listeners: expected at least one [[listeners]] table"
    seen: dict[Any, int] = {}
    for i, listener in enumerate(settings.listeners):
        endpoint = listener.endpoint
        first = seen.setdefault(endpoint, i)
        if first != i and endpoint.port:
            yield f"listeners[{i}].address: {endpoint} is that of listeners[{first}] too"
        yield from _unusable(settings, i)
        if settings.mailboxes.unknown_users == "create" and not endpoint.loopback:
            yield (
                'mailboxes.unknown_users: "create" makes a mailbox for whoever is named and is for '
                f'loopback only, but listeners[{i}] is {endpoint}; use "reject" and name the users'
            )
    spool = settings.spool
    least = 2 * (spool.reserve + spool.pack_bytes)
    if spool.map_size < least:
        yield (
            f"spool.map_size: {spool.map_size:_} is too little for spool.reserve = {spool.reserve:_} and a commit "
            f"of spool.pack_bytes = {spool.pack_bytes:_}, no mail could be taken: make it at least {least:_}, "
            "twice their sum, or lower spool.reserve"
        )
    wrong = [f"mailboxes.{problem}" for problem in directory_problems(_promised(settings))]
    yield from wrong
    if not wrong:
        try:
            routing_of(settings)
        except SettingsError as error:
            yield from error.problems
    if settings.auth.oauth is not None and settings.accounts.backend in ("static", "dovecot"):
        yield (
            f'auth.oauth: whose a token is cannot be asked of accounts.backend "{settings.accounts.backend}"; '
            "use another one, or remove [auth.oauth]"
        )
    yield from _shared_mailboxes(settings.mailboxes)
    yield from _http_problems(settings)
    several = len({canonical_domain(domain) for domain in settings.mailboxes.domains}) > 1
    elsewhere = settings.accounts.backend not in ("static", "embedded")
    if elsewhere and several and "{domain}" not in settings.mailboxes.path:
        yield (
            "mailboxes.path: accounts of one name in two domains would share a mailbox, as it lacks {domain}; add it"
        )


def _unusable(settings: Settings, number: int) -> Iterator[str]:
    """Why nobody could send by a listener that is for users."""
    listener = settings.listeners[number]
    profile, where = listener.profile, f"listeners[{number}].protocol"
    clear = settings.auth.clear_on_loopback and listener.endpoint.loopback and not profile.implicit_tls
    if profile.demands_tls and not settings.tls.certificates and not clear:
        yield f'{where}: "{listener.protocol}" needs a certificate; name one in tls.certificates'
    if profile.demands_auth and settings.accounts.backend == "static" and settings.auth.oauth is None:
        yield (
            f'{where}: nobody can log in for "{listener.protocol}" with accounts.backend = "static"; '
            'choose another one, such as "embedded"'
        )


def _http_problems(settings: Settings) -> Iterator[str]:
    """What is wrong with ``[http]`` and ``[[webhooks]]``."""
    http = settings.http
    endpoint = http.endpoint
    if endpoint is not None:
        for i, listener in enumerate(settings.listeners):
            if listener.endpoint == endpoint and endpoint.port:
                yield f"http.address: {endpoint} is that of listeners[{i}] too"
    if http.tls and not settings.tls.certificates:
        yield "http.tls: it needs a certificate; name one in tls.certificates"
    for i, token in enumerate(http.tokens):
        for text in token.senders:
            try:
                parse_sender(text)
            except ValueError as error:
                yield f"http.tokens[{i}].senders: {error}"
    try:
        all_webhooks_differ(settings.webhooks)
    except ValueError as error:
        yield str(error)


def _shared_mailboxes(mailboxes: MailboxSettings) -> Iterator[str]:
    """Users of one name in two domains, whom a path without the domain puts into one mailbox."""
    if "{domain}" in mailboxes.path:
        return
    seen: dict[str, tuple[str, str]] = {}
    for i, user in enumerate(mailboxes.users):
        local, at, domain = user.rpartition("@")
        if at:
            home = canonical_domain(domain)
            other, first = seen.setdefault(canonical_local(local), (home, user))
            if other != home:
                yield (
                    f'mailboxes.users[{i}]: "{user}" and "{first}" would share one mailbox, '
                    f'as mailboxes.path "{mailboxes.path}" lacks {{domain}}; add it'
                )


def mailbox_root(settings: Settings) -> Path:
    """The directory all mailboxes lie below: their path up to the first ``{``."""
    return Path(settings.mailboxes.path.partition("{")[0] + "x").parent


def watched_places(settings: Settings) -> list[Path]:
    """A directory on each file system that may run full: that of the spool first, then that of the mailboxes when it
    is another."""
    places = [settings.data_dir, mailbox_root(settings)]
    spool, mailboxes = (existing(place).stat().st_dev for place in places)
    return places[:1] if spool == mailboxes else places


def existing(path: Path) -> Path:
    """``path``, or the first directory above it that is there."""
    while not os.path.lexists(path):
        path = path.parent
    return path


def names_of(mailboxes: MailboxSettings) -> tuple[list[str], list[str]]:
    """Domains and users, each once however often and in whatever case it is written."""
    domains = {canonical_domain(domain): domain for domain in reversed(mailboxes.domains)}
    users: dict[str, str] = {}
    for user in reversed(mailboxes.users):
        local, at, domain = user.rpartition("@")
        users[canonical_local(local if at else domain) + at + (canonical_domain(domain) if at else "")] = user
    return list(reversed(domains.values())), list(reversed(users.values()))
