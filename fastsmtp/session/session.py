"""One client's session: answers the protocol's events by asking the guard, the router and the intake."""

from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from fastsmtp.intake.intake import Incoming, Intake
from fastsmtp.limits.guard import WorkerGuard
from fastsmtp.limits.pressure import Pressure
from fastsmtp.mail.address import Address
from fastsmtp.mail.dsn_params import Notify, notify, without_success
from fastsmtp.mail.envelope import Envelope, Recipient
from fastsmtp.mail.reply import CANNOT_VERIFY, RECIPIENT_AGAIN, TOO_MANY_RECIPIENTS, Reply, queued_as
from fastsmtp.routing.route import Expansion, LocalRoute, RemoteRoute
from fastsmtp.routing.router import Router, copy_key
from fastsmtp.smtp.handler import PENDING, Answer, Pending
from fastsmtp.telemetry.maillog import MailLog

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
    """What all sessions of a worker share. Without a ``verifier`` no recipient can be verified."""

    __slots__ = ("expanded", "guard", "intake", "log", "pressure", "router", "verifier")

    def __init__(
        self,
        *,
        intake: Intake,
        router: Router,
        guard: WorkerGuard,
        pressure: Pressure,
        log: MailLog,
        expanded: Expanded | None = None,
        verifier: Verifier | None = None,
    ) -> None:
        self.expanded = expanded
        self.intake = intake
        self.router = router
        self.guard = guard
        self.pressure = pressure
        self.log = log
        self.verifier = verifier


class Wire(Protocol):
    """The connection as its session sees it."""

    def answer(self, reply: Reply | None) -> None:
        """The answer to the event that gave `PENDING`; see `Answer`."""

    def pause_body(self) -> None:
        """Read no more for now: a large body waits for the disk."""

    def resume_body(self) -> None:
        """Read on."""


class _Asked:
    """A RCPT that waits: its recipient, the route it was given, and what is still to be asked for it."""

    __slots__ = ("left", "parameters", "recipient", "route")

    def __init__(
        self, recipient: Address, parameters: dict[str, str] | None, route: RemoteRoute | Expansion
    ) -> None:
        self.recipient = recipient
        self.parameters = parameters
        self.route = route
        self.left = [(recipient.text, route)] if isinstance(route, RemoteRoute) else list(route.asked)


class Session:
    """A `smtp.handler.Handler`."""

    __slots__ = (
        "_aliases",
        "_asked",
        "_context",
        "_extended",
        "_helo",
        "_incoming",
        "_ip",
        "_parameters",
        "_recipients",
        "_seen",
        "_sender",
        "_wire",
    )

    def __init__(self, context: Context, ip: str, wire: Wire) -> None:
        self._context = context
        self._ip = ip
        self._wire: Wire | None = wire
        self._helo = ""
        self._extended = False
        self._sender = ""
        self._parameters: dict[str, str] | None = None
        self._recipients: list[Recipient] | None = None
        self._seen: set[str] | None = None
        self._incoming: Incoming | None = None
        self._aliases: list[Alias] = []
        self._asked: _Asked | None = None

    @property
    def asking(self) -> bool:
        """Whether a command waits for its answer; the end of a message that waits for the spool is none."""
        return self._asked is not None

    def close(self) -> None:
        """The connection is gone; what the spool has still to say is logged, and told to nobody."""
        self._wire = None

    def on_hello(self, name: str, extended: bool) -> None:
        """See `Handler`."""
        self._helo = name
        self._extended = extended

    def on_mail(self, sender: Address, parameters: dict[str, str] | None) -> Answer:
        """See `Handler`."""
        context = self._context
        refused = (
            context.intake.refusal()
            or context.pressure.refusal(parameters)
            or context.guard.message(self._ip)
        )
        if refused is not None:
            self._log_refusal("MAIL", refused, sender=sender.text)
            return refused
        self._sender = sender.text
        self._parameters = parameters
        self._recipients = None
        self._seen = None
        self._aliases = []
        return None

    def on_rcpt(self, recipient: Address, parameters: dict[str, str] | None) -> Answer:
        """See `Handler`."""
        route = self._context.router.route(recipient.local, recipient.domain, self._ip)
        if isinstance(route, LocalRoute):
            return self._add_one(Recipient(recipient.text, route.mailbox, parameters))
        if isinstance(route, RemoteRoute):
            if not route.verify:
                return self._add_one(Recipient(recipient.text, "", parameters))
        elif isinstance(route, Reply):
            self._log_refusal("RCPT", route, recipient=recipient.text)
            return route
        elif not route.asked:
            return self._expand(route, recipient, parameters)
        asked = _Asked(recipient, parameters, route)
        return self._taken(asked) if self._context.router.trusts(self._ip) else self._ask(asked)

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
                self._log_refusal("RCPT", answer, recipient=asked.recipient.text)
                return answer
        return self._taken(asked)

    def _verified(self, refused: Reply | None) -> None:
        asked, self._asked = self._asked, None
        if asked is None or self._wire is None:
            return  # the client has gone meanwhile
        if refused is not None:
            self._log_refusal("RCPT", refused, recipient=asked.recipient.text)
            answer: Answer = refused
        else:
            answer = self._ask(asked)
        if answer is not PENDING:
            self._wire.answer(answer)

    def _expand(
        self, route: Expansion, recipient: Address, parameters: dict[str, str] | None
    ) -> Reply | None:
        """All that an alias stands for. Of several the sender does not hear one by one (RFC 3461 §5.2.7.3 c)."""
        handed_on = parameters if len(route.targets) == 1 else without_success(parameters)
        named = self._context.router.recipients(route, recipient.text, self._sender, handed_on)
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
        utf8 = self._parameters is not None and "SMTPUTF8" in self._parameters
        incoming = self._context.intake.begin(
            sender=self._sender,
            recipients=self._recipients or [],
            client_ip=self._ip,
            helo=self._helo,
            # RFC 3848 and RFC 6531 §4.3 name the protocols
            protocol="UTF8SMTP" if utf8 else "ESMTP" if self._extended else "SMTP",
            parameters=self._parameters,
            resume=self._resume_body,
        )
        if isinstance(incoming, Reply):
            self._log_refusal("DATA", incoming)
            return incoming
        self._incoming = incoming
        incoming.keep_start = bool(self._aliases)
        return None

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
        refused = incoming.finish(self._stored)
        self._resume_body()  # its last piece may have stopped the reading, and it will not ask for more
        if refused is not None:
            self._log_refusal("DATA", refused)
            return refused
        return PENDING

    def _stored(self, incoming: Incoming, refused: Reply | None) -> None:
        envelope = incoming.envelope
        if refused is None:
            self._context.log.received(
                envelope.id,
                sender=envelope.sender,
                recipients=[recipient.address for recipient in envelope.recipients],
                size=incoming.size,
                client=envelope.client_ip,
                helo=envelope.helo,
                protocol=envelope.protocol,
            )
            answer = queued_as(envelope.id)
            if self._aliases and self._context.expanded is not None:
                self._context.expanded(envelope, self._aliases, incoming.start, incoming.length)
                self._aliases = []
        else:
            answer = refused
            self._context.log.rejected(
                client=self._ip, stage="DATA", sender=envelope.sender, recipient=None, reply=answer
            )
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
        )
