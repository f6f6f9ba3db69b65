"""The ``[maildrop]`` table."""

from typing import Annotated

from msgspec import Meta, Struct

from fastsmtp.config.values import check_hostname


class MaildropSettings(Struct, frozen=True, kw_only=True):
    """Mail that programs of this machine send by `sendmail`; docs/sendmail.md."""

    path: (
        Annotated[
            str,
            Meta(
                min_length=1,
                description="The directory they drop it into, made with mode 3733 at the start. Absent: none. "
                "Another than `/var/spool/fastsmtp/maildrop` is told to `sendmail` by FASTSMTP_MAILDROP.",
            ),
        ]
        | None
    ) = None
    domain: (
        Annotated[
            str,
            Meta(
                description="The domain of addresses that are written without one, such as `root`.",
                extra={"default": "the first of mailboxes.domains, else hostname"},
            ),
        ]
        | None
    ) = None
    messages_per_user_per_minute: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Messages that are taken of one user in a minute, others wait; 0: any number. "
            "Not for root.",
        ),
    ] = 1000

    def __post_init__(self) -> None:
        if self.domain is not None:
            try:
                check_hostname(self.domain)
            except ValueError as error:
                raise ValueError(f"domain: {error}") from None
        if self.path is not None and "\0" in self.path:
            raise ValueError("path: expected a path without NUL")
