"""Tokens as a worker checks them: the verifier, and where the issuer's keys come from."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Protocol
from warnings import simplefilter

from fastsmtp.clock import Clock
from fastsmtp.dns.resolver import NetworkResolver
from fastsmtp.dns.servers import servers
from fastsmtp.oauth.base import TokenVerifier
from fastsmtp.process.errors import StartError
from fastsmtp.process.settings import Settings
from fastsmtp.transport.smtp.https import HttpsFetcher, web_context
from fastsmtp.transport.smtp.mta_sts import FetchError

_PATIENCE = 10.0
"""Seconds to fetch the keys; a login may wait for it."""
_KINDS = ("application/json", "application/jwk-set+json")  # RFC 7517 §8.5; most issuers say the former


class KeySource(Protocol):
    """Keys that are kept up to date."""

    def tick(self) -> None:
        """Once a second, on the loop's thread."""

    def stop(self) -> None:
        """No more from now on."""


class Tokens:
    """``verifier`` and the keys behind it."""

    def __init__(self, verifier: TokenVerifier, keys: KeySource) -> None:
        self.verifier = verifier
        self.tick = keys.tick
        self.stop = keys.stop


def make_tokens(settings: Settings, clock: Clock, event: Callable[[str], None]) -> Tokens | None:
    """By ``[auth.oauth]``; None without. Raises `StartError`."""
    oauth = settings.auth.oauth
    if oauth is None:
        return None
    if find_spec("joserfc") is None:
        raise StartError("auth.oauth: tokens need joserfc; install fastsmtp-mta[oauth]")
    from joserfc.errors import SecurityWarning

    from fastsmtp.oauth.keys import FileKeys, KeysError, UrlKeys
    from fastsmtp.oauth.tokens import JwtVerifier

    simplefilter("ignore", SecurityWarning)  # which signatures count is said in the settings
    if oauth.by_https:
        resolver = NetworkResolver(servers(settings.dns.servers), clock, settings.dns)
        web = HttpsFetcher(resolver, web_context(), total=_PATIENCE, kinds=_KINDS)

        async def fetch(url: str) -> bytes:
            try:
                return await web.fetch(url)
            except FetchError as error:
                raise KeysError(str(error)) from None

        fetched = UrlKeys(oauth.keys, oauth.refresh, fetch, clock, event)
        return Tokens(JwtVerifier(oauth, fetched, clock), fetched)
    file = FileKeys(oauth.keys, event)
    try:
        file.open()
    except KeysError as error:
        raise StartError(f"auth.oauth.keys: {error}") from None
    return Tokens(JwtVerifier(oauth, file, clock), file)
