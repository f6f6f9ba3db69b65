"""Whether the mailbox that a route leads to has room, where it has a quota."""

from collections.abc import Mapping
from typing import Protocol

from fastsmtp.mail.envelope import declared_size
from fastsmtp.mail.reply import Reply
from fastsmtp.routing.route import LocalRoute, Target


class Quotas(Protocol):
    """Whoever knows how full mailboxes are."""

    def refusal(self, mailbox: str, quota: int, size: int) -> Reply | None:
        """The reply to who brings ``size`` octets (0: nobody knows) for ``mailbox``, which may hold ``quota``, when
        it has no room for them. Does not wait."""


def refusal(
    quotas: Quotas | None, place: LocalRoute | Target, params: Mapping[str, str] | None
) -> Reply | None:
    """Why the mailbox takes no message of MAIL's ``params``, None when it does. Without ``quotas`` none is full."""
    if not place.quota or quotas is None:
        return None
    return quotas.refusal(place.mailbox, place.quota, declared_size(params))
