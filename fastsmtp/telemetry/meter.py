"""What a process counts: a method or a counter for each thing that happens, called where it happens.

All of it may be called from any thread, costs a fraction of a microsecond, and never fails.
"""

from collections.abc import Callable
from typing import Literal

from fastsmtp.mail.reply import (
    EARLY_TALK,
    NEED_TLS,
    SHUTTING_DOWN,
    TOO_MANY_CONNECTIONS,
    TOO_MANY_FROM_HOST,
    Reply,
)
from fastsmtp.telemetry.metrics import MECHANISMS, REJECT_STAGES, TLS_VERSIONS
from fastsmtp.telemetry.metrics_table import Row

Transport = Literal["local", "remote"]
Result = Literal["delivered", "deferred", "bounced"]

_BY_WIRE = {
    TOO_MANY_CONNECTIONS.wire: "connections",
    TOO_MANY_FROM_HOST.wire: "connections",
    SHUTTING_DOWN.wire: "shutdown",
    EARLY_TALK.wire: "protocol",
    NEED_TLS.wire: "policy",
}
_BY_DETAIL = {
    "1.1": "unknown_recipient",
    "3.0": "local",
    "3.1": "storage",
    "3.4": "size",
    "4.3": "unverified",
    "7.1": "relay",
}
_BY_SUBJECT = {"1": "address", "5": "protocol", "6": "content", "7": "policy", "4": "local"}


def reason_of(reply: Reply) -> str:
    """One of `metrics.REASONS`: why, by the reply that says so."""
    known = _BY_WIRE.get(reply.wire)
    if known is not None:
        return known
    detail = reply.status[2:]
    if reply.code < 500 and detail in ("7.0", "7.1"):
        return "limit"
    return _BY_DETAIL.get(detail) or _BY_SUBJECT.get(detail[:1], "other")


class Meter:
    """Counts into ``row``. ``now`` is a clock that never goes back, in seconds, for what is measured: whoever
    measures asks it before and after."""

    def __init__(self, row: Row, now: Callable[[], float]) -> None:
        self.row = row
        self.now = now
        self.connections = row.counters("fastsmtp_connections")[()]
        self.messages = row.counters("fastsmtp_messages_received")[()]
        self.recipients = row.counters("fastsmtp_recipients_received")[()]
        self.octets = row.counters("fastsmtp_received_bytes")[()]
        stages = row.histograms("fastsmtp_session_stage_seconds")
        self.tls = stages["tls",]
        self.auth = stages["auth",]
        self.rcpt = stages["rcpt",]
        self.data = stages["data",]
        self.commit = stages["commit",]
        self.tls_failures = row.counters("fastsmtp_tls_failures")[()]
        self.sync = row.histograms("fastsmtp_spool_sync_seconds")[()]
        self.group = row.histograms("fastsmtp_spool_commit_messages")[()]
        self._serving = row.counters("fastsmtp_workers")[()]
        self._draining = row.counters("fastsmtp_workers_draining")[()]
        self.worker_exits = row.counters("fastsmtp_worker_exits")[()]
        self.loop_delay = row.histograms("fastsmtp_loop_delay_seconds")[()]
        self.cpu = row.counters("fastsmtp_cpu_seconds")[()]
        self.webhook_waiting = row.counters("fastsmtp_webhook_waiting")[()]
        self._limits = row.counters("fastsmtp_limit_refusals")
        self._rejected = row.counters("fastsmtp_rejected")
        self._handshakes = row.counters("fastsmtp_tls_handshakes")
        self._logins = row.counters("fastsmtp_logins")
        self._deliveries = row.counters("fastsmtp_deliveries")
        self._delays = row.histograms("fastsmtp_delivery_delay_seconds")
        self._sent_over = row.counters("fastsmtp_outbound_tls")
        self._attempts = row.histograms("fastsmtp_attempt_seconds")
        self._notifications = row.counters("fastsmtp_notifications")
        self._lost = row.counters("fastsmtp_lost")
        self._http = row.counters("fastsmtp_http_requests")
        self._webhooks = row.counters("fastsmtp_webhook_deliveries")

    # --- clients ------------------------------------------------------------------------------------

    def received(self, size: int, recipients: int, seconds: float) -> None:
        """A message of ``size`` octets is answered with 250, so many ``seconds`` after its end."""
        self.commit.observe(seconds)
        self.messages.add()
        self.octets.add(size)
        self.recipients.add(recipients)

    def rejected(self, stage: str, reply: Reply) -> None:
        """A connection or command was refused; ``stage`` is its verb, or ``connect``."""
        stage = stage.lower()
        self._rejected[stage if stage in REJECT_STAGES else "other", reason_of(reply)].add()

    def handshake(self, version: str, resumed: bool) -> None:
        """A client's TLS has begun; ``version`` such as ``TLSv1.3``."""
        known = version if version in TLS_VERSIONS else "other"
        self._handshakes[known, "yes" if resumed else "no"].add()

    def login(self, mechanism: str, done: bool) -> None:
        """Somebody has logged in, or not."""
        known = mechanism if mechanism in MECHANISMS else "other"
        self._logins[known, "done" if done else "refused"].add()

    def limited(self, count: str) -> None:
        """A rule that counts this has refused something."""
        self._limits[count,].add()

    # --- delivery -----------------------------------------------------------------------------------

    def delivery(self, transport: Transport, result: Result, delay: float) -> None:
        """What an attempt has come to for a recipient whose message is ``delay`` seconds old."""
        self._deliveries[transport, result].add()
        if result == "delivered":
            self._delays[transport,].observe(delay)

    def sent_over(self, tls: str) -> None:
        """Another host took a recipient's message over ``tls``, which begins with its version; "" in clear."""
        version = tls.partition(" ")[0] or "none"
        self._sent_over[version if version in (*TLS_VERSIONS, "none") else "other",].add()

    def attempt(self, outcome: str, seconds: float) -> None:
        """A delivery to another host has ended, see `fastsmtp.queue.plan.outcome.Outcome`."""
        self._attempts[outcome,].observe(seconds)

    def notified(self, kind: str) -> None:
        """A notification was stored."""
        self._notifications[kind,].add()

    # --- the server itself --------------------------------------------------------------------------

    def serve(self) -> None:
        """This worker runs, as a second before."""
        if not self._draining.get():
            self._serving.set(1)

    def drain(self) -> None:
        """This worker accepts no more, from now on."""
        self._serving.set(0)
        self._draining.set(1)

    def lost(self, where: Literal["log", "ledger"], events: int) -> None:
        """So many events could not be written."""
        self._lost[where,].add(events)

    def http_request(self, status: int) -> None:
        """A request was answered with this status."""
        self._http[f"{min(5, max(2, status // 100))}xx",].add()

    def webhook(self, result: Literal["delivered", "failed", "given_up"], events: int = 1) -> None:
        """So many events were given to a webhook, or in vain."""
        self._webhooks[result,].add(events)


def unseen(now: Callable[[], float]) -> Meter:
    """One whose figures nobody sees."""
    return Meter(Row.alone(), now)
