"""Mailboxes that are full or not, without mailboxes."""

from fastsmtp.mail.reply import Reply


class FakeQuotas:
    """A `routing.room.Quotas`: ``full`` has the reply of each mailbox that is; ``asked`` what was asked for."""

    def __init__(self) -> None:
        self.full: dict[str, Reply] = {}
        self.asked: list[tuple[str, int, int]] = []

    def refusal(self, mailbox: str, quota: int, size: int) -> Reply | None:
        """See `Quotas.refusal`."""
        self.asked.append((mailbox, quota, size))
        return self.full.get(mailbox)
