"""All metrics of the server, as data: what they are called, what they count, and where they stand in memory.

docs/metrics.md is made from this table. A metric's labels have all their values here, so that the number of series is
known and nothing a stranger says makes one; what sites add (metrics_sites.py) is bounded by their number.
"""

from collections.abc import Iterator
from itertools import product
from typing import Literal, NamedTuple

from msgspec import Struct

Kind = Literal["counter", "gauge", "histogram"]
Merge = Literal["sum", "max", "min"]

WAITS = (0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
         10.0, 30.0, 60.0)  # fmt: skip
"""Seconds: the upper bounds of what a client or a thread waits for."""
DELAYS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 14400.0,
          43200.0, 86400.0, 432000.0)  # fmt: skip
"""Seconds: the upper bounds of how long mail is on its way."""
GROUPS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
"""Messages of one commit."""

CELL_BYTES = 8


def unit_of(name: str) -> str:
    """``seconds`` or ``bytes``, as a metric's name says; "" for a number."""
    last = name.rpartition("_")[2]
    return last if last in ("seconds", "bytes") else ""


class Metric(Struct, frozen=True, kw_only=True):
    """One metric. ``name`` is without ``_total``, ``help`` one sentence. ``labels``: each with all its values.
    ``buckets``: upper bounds of a histogram, ascending. ``merge`` is how a gauge of several processes is put
    together; with ``min`` a zero is no value. ``per_unit``: how many parts of its unit are counted."""

    name: str
    kind: Kind
    help: str
    labels: tuple[tuple[str, tuple[str, ...]], ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Merge = "sum"
    per_unit: int = 1

    @property
    def cells(self) -> int:
        """How many one series has: of a histogram one for each bound, one for what is above, and the sum."""
        return len(self.buckets) + 2 if self.kind == "histogram" else 1

    @property
    def size(self) -> int:
        """How many all its series have."""
        return self.cells * sum(1 for _ in self.series())

    def series(self) -> Iterator[tuple[str, ...]]:
        """The values of its labels, each combination once."""
        return product(*(values for _, values in self.labels))


STAGES = ("tls", "auth", "rcpt", "data", "commit")
REASONS = ("unknown_recipient", "address", "relay", "limit", "connections", "size", "storage", "content", "protocol",
           "policy", "unverified", "shutdown", "local", "other")  # fmt: skip
REJECT_STAGES = ("connect", "auth", "mail", "rcpt", "data", "other")
TLS_VERSIONS = ("TLSv1.2", "TLSv1.3", "other")
MECHANISMS = ("PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "OAUTHBEARER", "XOAUTH2", "other")
LIMITS = (
    "connections",
    "messages",
    "recipients",
    "unknown_recipients",
    "auth_failures",
    "early_talkers",
    "bytes",
)
PRESSURES = ("disk_free", "inodes_free", "memory", "memory_free", "queue")
STATES = ("local", "fresh", "deferred", "held")

METRICS: tuple[Metric, ...] = (
    # --- clients --------------------------------------------------------------------------------------
    Metric(
        name="fastsmtp_connections",
        kind="counter",
        help="Connections that were accepted by the kernel and came to a worker, also those refused at once.",
    ),
    Metric(name="fastsmtp_connections_open", kind="gauge", help="Clients that are connected now."),
    Metric(name="fastsmtp_messages_received", kind="counter", help="Messages that were answered with 250."),
    Metric(name="fastsmtp_recipients_received", kind="counter", help="Recipients of these messages."),
    Metric(
        name="fastsmtp_received_bytes",
        kind="counter",
        help="Octets of these messages as they came.",
    ),
    Metric(
        name="fastsmtp_rejected",
        kind="counter",
        help="Commands and connections that were refused, by stage and by why.",
        labels=(("stage", REJECT_STAGES), ("reason", REASONS)),
    ),
    Metric(
        name="fastsmtp_session_stage_seconds",
        kind="histogram",
        help="How long a stage of a session takes: the handshake of TLS, a login, a recipient for whom the next hop "
        "is asked, a message from DATA to its last octet, and from there to the answer.",
        labels=(("stage", STAGES),),
        buckets=WAITS,
    ),
    Metric(
        name="fastsmtp_tls_handshakes",
        kind="counter",
        help="Handshakes of clients that came to their end, by version.",
        labels=(("version", TLS_VERSIONS), ("resumed", ("no", "yes"))),
    ),
    Metric(name="fastsmtp_tls_failures", kind="counter", help="Sessions of clients that TLS has ended."),
    Metric(
        name="fastsmtp_logins",
        kind="counter",
        help="Logins, by mechanism and whether they succeeded.",
        labels=(("mechanism", MECHANISMS), ("result", ("done", "refused"))),
    ),
    Metric(
        name="fastsmtp_limit_refusals",
        kind="counter",
        help="Refusals by a rule of `[[limits.rules]]`, by what it counts.",
        labels=(("count", LIMITS),),
    ),
    Metric(
        name="fastsmtp_pressure",
        kind="gauge",
        help="1 while new mail is put off because this is short.",
        labels=(("short", PRESSURES),),
        merge="max",
    ),
    Metric(
        name="fastsmtp_certificate_expiry_timestamp_seconds",
        kind="gauge",
        help="When the first of the certificates in use expires, in seconds since 1970; 0 without certificates.",
        merge="min",
    ),
    # --- spool ----------------------------------------------------------------------------------------
    Metric(
        name="fastsmtp_spool_sync_seconds",
        kind="histogram",
        help="How long the journal takes to append and sync one commit.",
        buckets=WAITS,
    ),
    Metric(
        name="fastsmtp_spool_commit_messages",
        kind="histogram",
        help="Messages that were made durable by one commit.",
        buckets=GROUPS,
    ),
    Metric(
        name="fastsmtp_spool_used_bytes",
        kind="gauge",
        help="Bytes of LMDB's data files that hold pages, of all shards.",
    ),
    Metric(
        name="fastsmtp_spool_map_bytes",
        kind="gauge",
        help="What they may grow to: `spool.map_size` of all shards.",
    ),
    Metric(name="fastsmtp_spool_readers", kind="gauge", help="Slots for readers of LMDB that are taken."),
    Metric(
        name="fastsmtp_spool_trouble",
        kind="gauge",
        help="Shards whose storage fails or is full, so that mail is put off.",
    ),
    # --- queue and delivery -----------------------------------------------------------------------------
    Metric(
        name="fastsmtp_queue_messages",
        kind="gauge",
        help="Messages that wait: for mailboxes here, and for other hosts before their first attempt, after one, or "
        "held.",
        labels=(("state", STATES),),
    ),
    Metric(
        name="fastsmtp_deliveries",
        kind="counter",
        help="What came of recipients: local is a mailbox here, remote another host; each attempt counts.",
        labels=(
            ("transport", ("local", "remote")),
            ("result", ("delivered", "deferred", "bounced")),
        ),
    ),
    Metric(
        name="fastsmtp_delivery_delay_seconds",
        kind="histogram",
        help="From 250 to the delivery of a recipient.",
        labels=(("transport", ("local", "remote")),),
        buckets=DELAYS,
    ),
    Metric(
        name="fastsmtp_attempt_seconds",
        kind="histogram",
        help="How long a delivery to another host takes from its turn to its end, by how it ended for the site.",
        labels=(("outcome", ("done", "put_off", "slower", "busy", "unreachable")),),
        buckets=WAITS,
    ),
    Metric(
        name="fastsmtp_outbound_tls",
        kind="counter",
        help="Recipients that other hosts took, by the version of TLS their message went over.",
        labels=(("version", ("none", *TLS_VERSIONS)),),
    ),
    Metric(name="fastsmtp_outbound_open", kind="gauge", help="Deliveries to other hosts under way."),
    Metric(
        name="fastsmtp_notifications",
        kind="counter",
        help="Notifications to senders (DSN) that were stored, by what they tell.",
        labels=(("kind", ("failed", "delayed", "succeeded")),),
    ),
    # --- the server itself ------------------------------------------------------------------------------
    Metric(name="fastsmtp_workers", kind="gauge", help="Workers that accept connections."),
    Metric(
        name="fastsmtp_workers_draining",
        kind="gauge",
        help="Workers that accept no more, and finish what they have: of a former generation, or of a stop.",
    ),
    Metric(
        name="fastsmtp_worker_beat_seconds",
        kind="gauge",
        help="When the loop of the worker that is furthest behind turned last, by the machine's steady clock.",
        merge="min",
    ),
    Metric(
        name="fastsmtp_worker_exits",
        kind="counter",
        help="Processes of the server that ended by a signal or with an error.",
    ),
    Metric(
        name="fastsmtp_loop_delay_seconds",
        kind="histogram",
        help="How late a worker's event loop is, looked at once a second.",
        buckets=WAITS,
    ),
    Metric(
        name="fastsmtp_cpu_seconds",
        kind="counter",
        help="CPU time of the workers, user and system.",
        per_unit=1_000_000,
    ),
    Metric(
        name="fastsmtp_memory_bytes",
        kind="gauge",
        help="Memory of the workers' own, not shared.",
    ),
    Metric(
        name="fastsmtp_lost",
        kind="counter",
        help="Events that could not be written, into the log or into the ledger. Mail is not held up by that.",
        labels=(("where", ("log", "ledger")),),
    ),
    Metric(
        name="fastsmtp_http_requests",
        kind="counter",
        help="Requests to the HTTP interface, by the class of their status.",
        labels=(("status", ("2xx", "3xx", "4xx", "5xx")),),
    ),
    Metric(
        name="fastsmtp_webhook_deliveries",
        kind="counter",
        help="Events given to webhooks, given in vain (they are tried again), and given up.",
        labels=(("result", ("delivered", "failed", "given_up")),),
    ),
    Metric(
        name="fastsmtp_webhook_waiting",
        kind="gauge",
        help="Events that wait for a webhook.",
    ),
)


class Told(NamedTuple):
    """A gauge that is not counted in cells. ``field`` of one about sites is that of `metrics_sites.SiteLoad`."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    field: str = ""


BUILD = Told("fastsmtp_build_info", "1; which version runs, and on which core.", ("version", "core"))
STARTED = Told(
    "fastsmtp_start_timestamp_seconds",
    "When counting began, in seconds since 1970: with the server, or an upgrade to one that counts other things.",
)
SITES = (
    Told("fastsmtp_site_waiting", "Messages that wait for the site.", ("site",), "waiting"),
    Told("fastsmtp_site_in_flight", "Deliveries to the site under way.", ("site",), "in_flight"),
    Told("fastsmtp_site_failing", "1 while the site takes no mail.", ("site",), "failing"),
    Told(
        "fastsmtp_site_attempt_seconds",
        "How long its last deliveries took, on average.",
        ("site",),
        "seconds",
    ),
)
"""Of the sites that most waits for, and of the slowest; see metrics_sites.py."""


def _places() -> tuple[dict[str, int], int]:
    found = {}
    at = 0
    for metric in METRICS:
        found[metric.name] = at
        at += metric.size
    return found, at


PLACES, CELLS = _places()
"""Where each metric's first cell is, its series one behind the other in the order of `Metric.series`; and how many
cells one process has."""
BY_NAME = {metric.name: metric for metric in METRICS}
