"""What an attempt comes to: from the outcomes of commands to results of recipients and a word on the site."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from fastsmtp.mail.result import DeliveryResult, printable
from fastsmtp.smtp.outgoing_values import Outcome
from fastsmtp.transport.smtp.opening import Failure, ours

_STAGES: dict[str, Literal["connect", "greeting", "mail", "recipient", "data"]] = {
    "connect": "connect",
    "helo": "greeting",
    "starttls": "greeting",
    "tls": "greeting",
    "auth": "greeting",
    "idle": "mail",
    "rset": "mail",
    "mail": "mail",
    "rcpt": "recipient",
    "data": "data",
    "body": "data",
}
_BEFORE_MAIL = ("connect", "greeting")


class SiteOutcome(Struct, frozen=True, gc=False):
    """What an attempt says about the site, for whoever decides how much it gets.

    ``kind``: ``slow-down``, it said 421, or 4xx to something that is not about one recipient, or it broke off in a
    transaction; ``unreachable``, no session came about; else ``ok``. ``reason`` is empty only where nothing was put
    off. ``stage``, ``code`` and ``enhanced`` are those of the answer that weighs most, ``code`` 0 where there was
    none that asks to come later: how far it had come, ``greeting`` being all from EHLO to AUTH.
    """

    kind: Literal["ok", "slow-down", "unreachable"]
    reason: str
    stage: Literal["connect", "greeting", "mail", "recipient", "data"]
    code: int
    enhanced: str


OK = SiteOutcome("ok", "", "data", 250, "2.0.0")


def result(
    number: int, remote: str, outcome: Outcome, *, final: bool = False, tls: str = ""
) -> DeliveryResult:
    """An outcome as the result of recipient ``number``; "again" that nobody tries again is deferred. ``final``: of a
    server that tells nobody of what it has delivered. ``tls``: see `DeliveryResult`."""
    status = outcome.status
    return DeliveryResult(
        number,
        "deferred" if status == "again" else status,
        outcome.code,
        outcome.enhanced,
        outcome.text,
        remote,
        "x-fastsmtp" if outcome.ours else "smtp",
        final and status == "delivered",
        tls,
    )


def weight(outcome: Outcome) -> int:
    """How much a reason for putting off says about the site: 0 nothing, 1 of one recipient, 2 it broke off, or no
    session came about, 3 it asked for less."""
    temporary = outcome.code // 100 == 4
    if outcome.stage == "plan" or (
        outcome.code and not temporary and _STAGES[outcome.stage] not in _BEFORE_MAIL
    ):
        return 0
    if not temporary:
        return 2
    return 1 if outcome.stage == "rcpt" and outcome.code != 421 else 3


def site(worst: Outcome | None) -> SiteOutcome:
    """The word on the site of an attempt; ``worst`` is the reason for putting off that weighs most, None without."""
    if worst is None or not weight(worst):
        return OK
    stage = _STAGES[worst.stage]
    code = worst.code if worst.code // 100 == 4 else 0
    reason = printable(f"{worst.code} {worst.text}") if worst.code else worst.text
    if not code and stage in _BEFORE_MAIL:
        return SiteOutcome("unreachable", reason, stage, 0, worst.enhanced)
    kind: Literal["ok", "slow-down"] = "ok" if weight(worst) == 1 else "slow-down"
    return SiteOutcome(kind, reason, stage, code, worst.enhanced)


def verdict(failures: Sequence[Failure]) -> tuple[str, Outcome]:
    """What no session with any host comes to: the remote and its outcome. Only what all hosts refuse for good is
    final; otherwise a host that spoke goes before those that did not, and the last before those before it."""
    if not failures:
        return "", ours("4.4.4", "there is no host to send to", "connect")
    soft = [failure for failure in failures if failure.outcome.status != "failed"]
    if not soft:
        return failures[-1]
    spoken = [failure for failure in soft if failure.outcome.code]
    if spoken:
        return spoken[-1]
    if len(soft) == 1:
        return soft[0]
    last = soft[-1]
    text = "; ".join(dict.fromkeys(_named(failure) for failure in soft))
    return last.remote, last.outcome._replace(text=printable(text))


def _named(failure: Failure) -> str:
    return f"{failure.remote}: {failure.outcome.text}" if failure.remote else failure.outcome.text
