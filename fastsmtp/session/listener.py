"""One listener as its sessions see it: what they may do by its profile, and the rules of each stage."""

from collections.abc import Mapping, Sequence

from fastsmtp.clock import Clock
from fastsmtp.config.values import Network, parse_ip, parse_network
from fastsmtp.limits.guard import is_loopback, network_of
from fastsmtp.mail.future_release import date_time, release_at
from fastsmtp.mail.reply import HELD_TOO_LONG, NEED_AUTH, NEED_TLS, Reply
from fastsmtp.session.auth import Channel, Logins
from fastsmtp.session.listener_settings import ListenerSettings
from fastsmtp.session.settings import SessionSettings
from fastsmtp.smtp.rules import ServerRules
from fastsmtp.tls.layer import TlsFacts
from fastsmtp.tls.store import CertificateStore

_OFFER = 60
"""Seconds for which what FUTURERELEASE offers stays as it is: its last date-time moves with the clock."""


class Listener:
    """``certificates`` is None where TLS cannot be had, ``logins`` where nobody can log in."""

    def __init__(
        self,
        listener: ListenerSettings,
        settings: SessionSettings,
        *,
        clock: Clock,
        certificates: CertificateStore | None,
        logins: Logins | None,
    ) -> None:
        self.profile = listener.profile
        self.hide_client = listener.hide_client
        self.certificates = certificates
        self.logins = logins if self.profile.offers_auth else None
        # what never changes is asked once: most connections are of strangers in clear
        self._under_tls = self._offered(Channel("", True, False, None)) if certificates is not None else ()
        self._in_clear = bool(self._offered(Channel("", False, True, None)))
        self._settings = settings
        self._clock = clock
        self._longest = int(settings.limits.future_release) if self.profile.holds else 0
        self._offered_at = 0
        self._proxies = [parse_network(text) for text in listener.proxy]
        self._speakers = [parse_network(text) for text in listener.xclient]
        self._rules: dict[tuple[bool, tuple[str, ...], bool, bool], ServerRules] = {}

    def rules(self, ip: str, tls: TlsFacts | None) -> ServerRules:
        """What holds for the client at ``ip`` from here on, under ``tls`` or in clear."""
        if self._longest and (minute := int(self._clock.now()) // _OFFER) != self._offered_at:
            self._offered_at = minute
            self._rules.clear()
        asked = self._in_clear if tls is None else self._under_tls
        offered = self._offered(channel(ip, tls)) if asked else ()
        promised = tls is None and not offered and bool(self._under_tls)
        key = (tls is not None, offered, promised, self.speaks(ip))
        rules = self._rules.get(key)
        if rules is None:
            rules = self._rules[key] = self._make(*key)
        return rules

    def _offered(self, channel: Channel) -> tuple[str, ...]:
        return () if self.logins is None else self.logins.offered(channel)

    def held_too_long(self, parameters: Mapping[str, str] | None) -> Reply | None:
        """The reply to MAIL with ``parameters`` that ask for a time too far ahead (RFC 4865)."""
        if not self._longest or parameters is None:
            return None
        now = self._clock.now()
        until = release_at(parameters, now)
        return HELD_TOO_LONG if until is not None and until > now + self._longest else None

    def proxied(self, ip: str) -> bool:
        """Whether a proxy is at ``ip``."""
        return bool(self._proxies) and _within(ip, self._proxies)

    def speaks(self, ip: str) -> bool:
        """Whether whoever is at ``ip`` may say by XCLIENT for whom it comes."""
        return bool(self._speakers) and _within(ip, self._speakers)

    def _make(self, secured: bool, mechanisms: tuple[str, ...], promised: bool, xclient: bool) -> ServerRules:
        profile, settings = self.profile, self._settings
        limits = settings.limits
        return ServerRules(
            hostname=settings.hostname,
            size=limits.message_size,
            recipients=limits.recipients,
            errors=limits.errors,
            lmtp=profile.lmtp,
            secured=secured,
            starttls=not secured and profile.offers_starttls and self.certificates is not None,
            mechanisms=mechanisms,
            auth_needs_tls=promised,
            gate=self._gate(secured, bool(mechanisms)),
            xclient=xclient,
            future_release=self._future_release() if mechanisms else "",
        )

    def _future_release(self) -> str:
        if not self._longest:
            return ""
        return f"{self._longest} {date_time(self._offered_at * _OFFER + self._longest)}"

    def _gate(self, secured: bool, offers: bool) -> Reply | None:
        """The reply to MAIL of somebody who has not logged in."""
        if self.profile.demands_tls and not secured and not offers:
            return NEED_TLS
        return NEED_AUTH if self.profile.demands_auth else None


def channel(ip: str, tls: TlsFacts | None) -> Channel:
    """What logging in has to know of a connection."""
    if tls is None:
        return Channel(ip, False, is_loopback(network_of(ip)), None)
    return Channel(ip, True, False, None if tls.certificate is None else tls.certificate.end_point)


def _within(ip: str, networks: Sequence[Network]) -> bool:
    address = parse_ip(ip)
    return address is not None and any(address in network for network in networks)
