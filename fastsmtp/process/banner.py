"""What `fastsmtp serve` prints once every worker serves."""

from collections.abc import Sequence
from ipaddress import ip_address

from fastsmtp import __version__
from fastsmtp.process.settings import Settings
from fastsmtp.process.sockets import Listener

DURABILITY = {
    "full": "durability full: 250 is sent after the message is on stable storage",
    "relaxed": "DURABILITY RELAXED: a power cut may lose the mail of the last moments, though 250 was sent",
    "none": "DURABILITY NONE: a power cut loses mail although 250 was sent, perhaps the spool; for tests only",
}


def banner(settings: Settings, listeners: Sequence[Listener], loop: str) -> str:
    """The start-up text, lines with their ends; the first begins with ``ready:``."""
    mailboxes = settings.mailboxes
    domains = ", ".join(mailboxes.domains)
    lines = [
        f"ready: fastsmtp {__version__} as {settings.hostname}, {_count(settings.workers, 'worker')} "
        f"({loop}, accept = {settings.accept})",
        *(f"listening on {listener.endpoint} ({listener.protocol})" for listener in listeners),
        *_http(settings),
        f"mail for {domains} ({_users(settings)}) goes to {mailboxes.path}",
        DURABILITY[settings.durability],
        *_first_message(settings, listeners),
    ]
    return "".join(f"{line}\n" for line in lines)


def _users(settings: Settings) -> str:
    mailboxes = settings.mailboxes
    if mailboxes.unknown_users == "create":
        return "any user of it exists"
    if settings.accounts.backend != "static":
        return f"accounts: {settings.accounts.backend}"
    return _count(len(mailboxes.users), "user")


def _http(settings: Settings) -> list[str]:
    http = settings.http
    return (
        [] if http.endpoint is None else [f"listening on {http.endpoint} ({'https' if http.tls else 'http'})"]
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _first_message(settings: Settings, listeners: Sequence[Listener]) -> list[str]:
    mailboxes = settings.mailboxes
    if not listeners or not mailboxes.domains:
        return []
    endpoint = listeners[0].endpoint
    host = endpoint.host
    if ip_address(host).is_unspecified:
        host = "::1" if ":" in host else "127.0.0.1"
    user = "alice" if mailboxes.unknown_users == "create" else next(iter(mailboxes.users), "postmaster")
    to = user if "@" in user else f"{user}@{mailboxes.domains[0]}"
    server = f"[{host}]:{endpoint.port}" if ":" in host else f"{host}:{endpoint.port}"
    return [
        "send a first message:",
        f"  swaks --server {server} --to {to}",
        f'  python3 -c \'import smtplib; smtplib.SMTP("{host}", {endpoint.port})'
        f'.sendmail("me@example.org", "{to}", "Subject: hello\\r\\n\\r\\nHello!\\r\\n")\'',
    ]
