"""One client's session: answers the protocol's events by asking guard and limits, the router and the intake."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from fastsmtp.accounts.base import Identity
from fastsmtp.accounts.names import canonical_login
from fastsmtp.intake.intake import Incoming, Intake
from fastsmtp.limits.counter import Counter
from fastsmtp.limits.guard import WorkerGuard
from fastsmtp.limits.pressure import Pressure
from fastsmtp.mail.address import Address
from fastsmtp.mail.dsn_params import Notify, notify, without_success
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.future_release import request
from fastsmtp.mail.reply import (
    BAD_PARAMETER_VALUE,
    CANNOT_VERIFY,
    MAILBOX_UNKNOWN,
    NOT_YOUR_ADDRESS,
    RECIPIENT_AGAIN,
    RELAY_DENIED,
    TOO_MANY_RECIPIENTS,
    Reply,
    queued_as,
)
from fastsmtp.routing.room import Quotas, refusal
from fastsmtp.routing.route import Expansion, LocalRoute, RemoteRoute
from fastsmtp.routing.router import Router, copy_key
from fastsmtp.session.auth import Login, Step
from fastsmtp.session.listener import Listener, channel
from fastsmtp.smtp.handler import PENDING, Answer, AuthAnswer, Challenge, Pending
from fastsmtp.telemetry.dialogue import Facts
from fastsmtp.telemetry.maillog import MailLog
from fastsmtp.tls.layer import TlsFacts

Alias = tuple[Recipient, Expansion]
"""An address that stands for others, with the parameters it was given, and what it stands for."""

Expanded = Callable[[Envelope, Sequence[Alias], bytes, int], None]
"""Is told when a message was stored whose sender asked to hear of its delivery to aliases: these, the message's first
octets, and how many it has."""


class Verifier(Protocol):
    """Whoever knows recipients that live elsewhere."""

    def ask(self, address: str, route: RemoteRoute, told: Callable[[Reply | None], None]) -> Answer:
        """Whether the next hop of ``route`` takes mail for ``address``: None where it does, a reply that refuses, or
        `PENDING`: then ``told`` hears it, once, before the client's patience is at its end."""


class Context:
    """What all sessions of a worker share. Without a ``verifier`` no recipient can be verified, without ``quotas`` no
    mailbox is ever full."""

    __slots__ = ("expanded", "guard", "intake", "limits", "log", "pressure", "quotas", "router", "verifier")

    def __init__(
        self,
        *,
        intake: Intake,
        router: Router,
        guard: WorkerGuard,
        limits: Counter,
        pressure: Pressure,
        log: MailLog,
        expanded: Expanded | None = None,
        verifier: Verifier | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self.expanded = expanded
        self.intake = intake
        self.router = router
        self.guard = guard
        self.limits = limits
        self.pressure = pressure
        self.quotas = quotas
        self.log = log
        self.verifier = verifier

    def enter(self, ip: str) -> Reply | None:
        """See `WorkerGuard.enter`; the rules of the settings are asked as well."""
        return self.limits.connected(ip) or self.guard.enter(ip)


class Wire(Protocol):
    """The connection as its session sees it."""

    def answer(self, reply: Reply | Challenge | None) -> None:
        """The answer to the event that gave `PENDING`; see `Answer` and `AuthAnswer`."""

    def become(self, ip: str) -> Reply | None:
        """The client speaks for another at ``ip``, which is counted in its place; the reply when it may not come."""

    def pause_body(self) -> None:
        """Read no more for now: a large body waits for the disk."""

    def resume_body(self) -> None:
        """Read on."""


class _Asked:
    """A RCPT that waits: its recipient, the route it was given, and what is still to be asked for it."""

    __slots__ = ("began", "left", "parameters", "recipient", "route")

    def __init__(
        self,
        recipient: Address,
        parameters: dict[str, str] | None,
        route: RemoteRoute | Expansion,
        began: float,
    ) -> None:
        self.began = began
        self.recipient = recipient
        self.parameters = parameters
        self.route = route
        self.left = [(recipient.text, route)] if isinstance(route, RemoteRoute) else list(route.asked)


class Session:
    """A `smtp.handler.Handler`."""

    __slots__ = (
        "_aliases",
        "_asked",
        "_carrier",
        "_client",
        "_context",
        "_extended",
        "_helo",
        "_helo_told",
        "_identity",
        "_incoming",
        "_ip",
        "_listener",
        "_login",
        "_parameters",
        "_recipients",
        "_seen",
        "_sender",
        "_sender_known",
        "_since",
        "_tls",
        "_wire",
        "_with",
    )

    def __init__(self, context: Context, listener: Listener, ip: str, wire: Wire) -> None:
        self._context = context
        self._listener = listener
        self._ip = ip
        # whom the router is asked about: an address, nobody in particular, or None for whoever has logged in
        self._client: str | None = ip if listener.profile.relays else ""
        self._identity: Identity | None = None
        self._login: Login | None = None
        self._tls: TlsFacts | None = None
        self._with = ""  # what Received's "with" has behind the protocol's name (RFC 3848)
        self._wire: Wire | None = wire
        self._helo = ""
        self._helo_told = ""  # by XCLIENT, in the place of what EHLO says
        self._extended = False
        self._sender = ""
        self._parameters: dict[str, str] | None = None
        self._recipients: list[Recipient] | None = None
        self._seen: set[str] | None = None
        self._incoming: Incoming | None = None
        self._since = 0.0  # when the message began, then when all of it had come, by the meter's clock
        self._aliases: list[Alias] = []
        self._asked: _Asked | None = None
        self._carrier = ""  # what brings a message instead of SMTP
        self._sender_known = False

    @property
    def queue_id(self) -> str:
        """Of the message whose body is on its way; empty when there is none."""
        return "" if self._incoming is None else self._incoming.envelope.id

    @property
    def asking(self) -> bool:
        """Whether a command waits for its answer; the end of a message that waits for the spool is none."""
        return self._asked is not None or self._login is not None

    def facts(self) -> Facts:
        """What is known of it, for people."""
        tls = self._tls
        return Facts(
            helo=self._helo,
            protocol=self._protocol_name(),
            login=self._account,
            tls="" if tls is None else f"{tls.version} {tls.cipher}",
            sender=None if self._recipients is None and not self._sender else self._sender,
            recipients=len(self._recipients or ()),
        )

    def close(self) -> None:
        """The connection is gone; what the spool has still to say is logged, and told to nobody."""
        self._wire = None

    def on_hello(self, name: str, extended: bool) -> None:
        """See `Handler`."""
        self._helo = self._helo_told or name
        self._extended = extended

    def secured(self, facts: TlsFacts) -> None:
        """TLS has begun: whatever was said before is forgotten (RFC 3207 §4.2)."""
        self._helo = self._helo_told = ""
        self._tls = facts
        self._authenticated(None)

    def on_starttls(self) -> Reply | None:
        """See `Handler`."""
        return None

    def on_auth(self, mechanism: str, initial: bytes | None) -> AuthAnswer:
        """See `Handler`."""
        logins = self._listener.logins
        if logins is None:
            raise RuntimeError("AUTH was offered where nobody can log in")
        login = logins.begin(channel(self._ip, self._tls), mechanism, self._auth_told)
        if isinstance(login, Reply):
            if login.closes:
                self._context.log.rejected(
                    client=self._ip, stage="AUTH", sender=None, recipient=None, reply=login
                )
            return login
        self._login = login
        return self._auth_step(login.start(initial))

    def on_auth_data(self, response: bytes) -> AuthAnswer:
        """See `Handler`."""
        if self._login is None:
            raise RuntimeError("an answer to no challenge")
        return self._auth_step(self._login.receive(response))

    def on_auth_cancelled(self) -> None:
        """See `Handler`."""
        login, self._login = self._login, None
        if login is not None:
            login.forget()

    def _auth_step(self, step: Step | None) -> AuthAnswer:
        if step is None:
            return PENDING
        if isinstance(step, bytes):
            return Challenge(step)
        self._login = None
        if isinstance(step, Reply):
            return step
        self._authenticated(step)
        return None

    def _auth_told(self, step: Step) -> None:
        answer = self._auth_step(step)
        if self._wire is not None and answer is not PENDING:
            self._wire.answer(answer)

    def _authenticated(self, identity: Identity | None) -> None:
        self._identity = identity
        relays = self._listener.profile.relays
        self._client = "" if not relays else self._ip if identity is None else None
        self._with = ("S" if self._tls else "") + ("A" if identity else "")

    def vouched(self, identity: Identity, carrier: str, *, sender_known: bool) -> None:
        """Who it is was proven elsewhere, and mail comes by ``carrier``, as Received is to name it;
        ``sender_known``: it is known, too, that it may send as whomever it says."""
        self._authenticated(identity)
        self._carrier = carrier
        self._sender_known = sender_known

    def on_xclient(self, attributes: dict[str, str]) -> Reply | None:
        """See `Handler`."""
        said = attributes.get("LOGIN", "")
        login = canonical_login(said) if self._listener.profile.offers_auth else None
        if said and login is None:
            return BAD_PARAMETER_VALUE
        ip = attributes.get("ADDR")
        if ip is not None and self._wire is not None:
            refused = self._wire.become(ip)
            if refused is not None:
                return refused
            self._ip = ip
        self._helo, self._helo_told = "", attributes.get("HELO", "")
        self._authenticated(Identity(login) if login else None)
        if login:
            self._context.log.login(client=self._ip, mechanism="XCLIENT", login=login, reason=None)
        return None

    def on_mail(self, sender: Address, parameters: dict[str, str] | None) -> Answer:
        """See `Handler`."""
        context = self._context
        refused = (
            self._listener.held_too_long(parameters)
            or context.intake.refusal()
            or context.pressure.refusal(parameters)
        )
        if refused is None and self._identity is not None and not self._may_send(self._identity, sender):
            refused = NOT_YOUR_ADDRESS
        if refused is None:
            refused = context.limits.mail(self._ip, self._account, sender.text)
        if refused is not None:
            self._log_refusal("MAIL", refused, sender=sender.text)
            return refused
        self._sender = sender.text
        self._parameters = parameters
        self._recipients = None
        self._seen = None
        self._aliases = []
        return None

    @property
    def _account(self) -> str:
        return "" if self._identity is None else self._identity.login

    def _may_send(self, identity: Identity, sender: Address) -> bool:
        """The null sender is everybody's who may send at all: clients acknowledge mail with it (RFC 8098 §2.1)."""
        if self._sender_known:
            return True
        local, domain = sender.local, sender.domain
        if not sender.text:
            local, _, domain = identity.login.rpartition("@")
        return self._context.router.may_send(identity, local, domain)

    def on_rcpt(self, recipient: Address, parameters: dict[str, str] | None) -> Answer:
        """See `Handler`."""
        route = self._context.router.route(recipient.local, recipient.domain, self._client)
        if isinstance(route, RemoteRoute) and not self._listener.profile.relays:
            route = RELAY_DENIED
        if not isinstance(route, Reply):
            route = self._context.limits.recipient(self._ip, self._account, self._sender) or route
        if isinstance(route, LocalRoute):
            full = refusal(self._context.quotas, route, self._parameters)
            if full is not None:
                return self._refused(full, recipient)
            return self._add_one(Recipient(recipient.text, route.mailbox, parameters))
        if isinstance(route, RemoteRoute):
            if not route.verify:
                return self._add_one(Recipient(recipient.text, "", parameters))
        elif isinstance(route, Reply):
            return self._refused(route, recipient)
        elif not route.asked:
            return self._expand(route, recipient, parameters)
        asked = _Asked(recipient, parameters, route, self._context.log.meter.now())
        return self._taken(asked) if self._context.router.trusts(self._client) else self._ask(asked)

    def _refused(self, reply: Reply, recipient: Address) -> Reply:
        """Why ``recipient`` is not taken, or 421 where too many do not exist; an LMTP client asks for others."""
        if reply.status == MAILBOX_UNKNOWN.status and not self._listener.profile.lmtp:
            reply = self._context.limits.unknown(self._ip, self._account, self._sender) or reply
        self._log_refusal("RCPT", reply, recipient=recipient.text)
        return reply

    def _taken(self, asked: _Asked) -> Reply | None:
        """The recipient enters the envelope, or what it stands for."""
        if isinstance(asked.route, RemoteRoute):
            return self._add_one(Recipient(asked.recipient.text, "", asked.parameters))
        return self._expand(asked.route, asked.recipient, asked.parameters)

    def _ask(self, asked: _Asked) -> Answer:
        """Ask next hops, one recipient after the other; the first one that is refused decides."""
        verifier = self._context.verifier
        while asked.left:
            address, route = asked.left.pop()
            answer = CANNOT_VERIFY if verifier is None else verifier.ask(address, route, self._verified)
            if answer is PENDING:
                self._asked = asked
                return PENDING
            if answer is not None:
                return self._refused(answer, asked.recipient)
        return self._taken(asked)

    def _verified(self, refused: Reply | None) -> None:
        asked, self._asked = self._asked, None
        if asked is None or self._wire is None:
            return  # the client has gone meanwhile
        if refused is not None:
            answer: Answer = self._refused(refused, asked.recipient)
        else:
            answer = self._ask(asked)
        if answer is not PENDING:
            meter = self._context.log.meter
            meter.rcpt.observe(meter.now() - asked.began)
            self._wire.answer(answer)

    def _expand(
        self, route: Expansion, recipient: Address, parameters: dict[str, str] | None
    ) -> Reply | None:
        """All that an alias stands for. Of several the sender does not hear one by one (RFC 3461 §5.2.7.3 c): those
        whose mailboxes are full wait in the queue, which tells of them when they stay so."""
        router, quotas = self._context.router, self._context.quotas
        full = {one.mailbox: why for one in route.targets if (why := refusal(quotas, one, self._parameters))}
        alone = len(route.targets) == 1
        if alone and full:
            [reply] = full.values()
            return self._refused(reply, recipient)
        handed_on = parameters if alone else without_success(parameters)
        named = router.recipients(route, recipient.text, self._sender, handed_on)
        if full:
            named = [router.queued(one) if one.mailbox in full else one for one in named]
        answer = self._add(named)
        if answer is None and parameters is not None and Notify.SUCCESS in notify(parameters):
            listed = any(target.owner is not None for target in route.targets)
            if listed or len(named) > 1:
                self._aliases.append((Recipient(recipient.text, "", parameters), route))
        if answer is not None and not answer.positive:
            self._log_refusal("RCPT", answer, recipient=recipient.text)
        return answer

    def _add_one(self, found: Recipient) -> Reply | None:
        if self._recipients is None:
            self._recipients = [found]
            return None
        return self._add([found])

    def undeliverable(self, recipient: Address, parameters: dict[str, str] | None) -> None:
        """A recipient that was refused is taken all the same: when its turn comes the queue tells the sender."""
        self._add_one(Recipient(recipient.text, "", parameters))

    def wait_for_room(self, recipient: Address, parameters: dict[str, str] | None) -> None:
        """A recipient that was refused for a full mailbox waits for room in the queue, which tells the sender when it
        stays so."""
        router = self._context.router
        route = router.route(recipient.local, recipient.domain, self._client)
        if isinstance(route, Expansion):
            named = router.recipients(route, recipient.text, self._sender, parameters)
        else:
            mailbox = route.mailbox if isinstance(route, LocalRoute) else ""
            named = [Recipient(recipient.text, mailbox, parameters)]
        self._add([router.queued(one) for one in named])

    def _add(self, named: list[Recipient]) -> Reply | None:
        """Each of ``named`` gets one copy, however often and by whatever alias it is named."""
        recipients = self._recipients
        if recipients is None:
            recipients = self._recipients = []
        if self._seen is None:
            self._seen = {copy_key(known) for known in recipients}
        new = [one for one in named if copy_key(one) not in self._seen]
        if not new:
            return RECIPIENT_AGAIN
        if recipients and len(new) > 1 and len(recipients) + len(new) > self._context.router.most:
            return TOO_MANY_RECIPIENTS
        self._seen.update(map(copy_key, new))
        recipients += new
        return None

    def on_data(self, chunked: bool) -> Answer:
        """See `Handler`."""
        listener, submitted = self._listener, self._identity is not None
        tls = self._tls
        incoming = self._context.intake.begin(
            sender=self._sender,
            recipients=self._named(),
            client_ip=self._ip,
            helo=self._helo,
            protocol=self._protocol_name(),
            parameters=self._parameters,
            resume=self._resume_body,
            tls=""
            if tls is None
            else f"\r\n\t(using {tls.version} with cipher {tls.cipher} ({tls.bits} bits))",
            hidden=submitted and listener.hide_client,
            complete=listener.profile.completes,
        )
        if isinstance(incoming, Reply):
            self._log_refusal("DATA", incoming)
            return incoming
        self._since = self._context.log.meter.now()
        self._incoming = incoming
        incoming.keep_start = bool(self._aliases)
        return None

    def _named(self) -> list[Recipient]:
        """The recipients of the message. One that is held waits in the queue for other hosts, whoever they are: at
        its time those who live here by then get it in their mailboxes."""
        named = self._recipients or []
        if not request(self._parameters):
            return named
        return [self._context.router.queued(one) for one in named]

    def _protocol_name(self) -> str:
        """For Received's "with" and the log (RFC 3848, RFC 6531 §4.3)."""
        if self._carrier:
            return self._carrier
        utf8 = self._parameters is not None and "SMTPUTF8" in self._parameters
        if self._listener.profile.lmtp:
            return ("UTF8LMTP" if utf8 else "LMTP") + self._with
        if utf8:
            return "UTF8SMTP" + self._with
        return "ESMTP" + self._with if self._extended else "SMTP"

    def on_body(self, piece: bytes) -> None:
        """See `Handler`."""
        incoming = self._incoming
        if incoming is not None and not incoming.write(piece) and self._wire is not None:
            self._wire.pause_body()

    def on_body_end(self) -> Reply | Literal[Pending.PENDING]:
        """See `Handler`."""
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            raise RuntimeError("the end of a body that never began")
        meter = self._context.log.meter
        now = meter.now()
        meter.data.observe(now - self._since)
        self._since = now
        refused = incoming.finish(self._stored)
        self._resume_body()  # its last piece may have stopped the reading, and it will not ask for more
        if refused is not None:
            self._log_refusal("DATA", refused)
            return refused
        return PENDING

    def _stored(self, incoming: Incoming, refused: Reply | None) -> None:
        envelope = incoming.envelope
        if refused is None:
            log, tls = self._context.log, self._tls
            log.received(
                envelope.id,
                sender=envelope.sender,
                recipients=[recipient.address for recipient in envelope.recipients],
                size=incoming.size,
                client=envelope.client_ip,
                helo=envelope.helo,
                protocol=envelope.protocol,
                sync=log.meter.now() - self._since,
                message_id=incoming.message_id,
                login=self._account,
                tls="" if tls is None else f"{tls.version} {tls.cipher}",
                aliases=_written_to(envelope.recipients),
            )
            self._context.limits.stored(self._ip, self._account, envelope.sender, incoming.size)
            answer = queued_as(envelope.id)
            if self._aliases and self._context.expanded is not None:
                self._context.expanded(envelope, self._aliases, incoming.start, incoming.length)
                self._aliases = []
        else:
            answer = refused
            self._log_refusal("DATA", answer, sender=envelope.sender)
        if self._wire is not None:
            self._wire.answer(answer)

    def _resume_body(self) -> None:
        if self._wire is not None:
            self._wire.resume_body()

    def on_body_refused(self, refusal: Reply) -> None:
        """See `Handler`."""
        self._log_refusal("DATA", refusal)
        self.on_reset()

    def on_reset(self) -> None:
        """See `Handler`."""
        self._asked = None
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            incoming.abort()
            self._resume_body()

    def _log_refusal(
        self, stage: str, refused: Reply, *, sender: str | None = None, recipient: str | None = None
    ) -> None:
        self._context.log.rejected(
            client=self._ip,
            stage=stage,
            sender=self._sender if sender is None else sender,
            recipient=recipient,
            reply=refused,
            helo=self._helo,
            protocol=self._protocol_name(),
        )


def _written_to(recipients: Sequence[Recipient]) -> Sequence[str]:
    """The addresses that stood for these, where they were aliases."""
    if len(recipients) == 1:
        original = recipients[0].original
        return () if original is None else (original,)
    return list(dict.fromkeys(one.original for one in recipients if one.original is not None))
