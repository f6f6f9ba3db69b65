"""The ``[mailboxes]`` table."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from fastsmtp.mailbox.layout import Layout


class MailboxSettings(Struct, frozen=True, kw_only=True):
    """Who receives mail here, and where it is put."""

    domains: Annotated[
        tuple[str, ...],
        Meta(description="Domains whose mail is ours.", examples=[["example.org"]]),
    ] = ()
    path: Annotated[
        str,
        Meta(
            description="The Maildir of a user: `{user}` and `{domain}` stand for the two parts of the address, "
            "made safe as file names. Created with the first mail.",
        ),
    ] = "/var/mail/{domain}/{user}"
    unknown_users: Annotated[
        Literal["reject", "create"],
        Meta(
            description="What becomes of mail for a user who is not named: `reject`, or `create` a mailbox for "
            "whoever is written to (benchmarks and development, on loopback only)."
        ),
    ] = "reject"
    users: Annotated[
        tuple[str, ...],
        Meta(
            description="Users: `alice` in every domain, `alice@example.org` in one. Case does not matter, and mail "
            "for `alice+anything` is alice's, unless that very name is a user.",
            examples=[["alice", "bob"]],
        ),
    ] = ()
    postmaster: Annotated[
        str,
        Meta(
            min_length=1,
            description="Who receives the mail of `postmaster`, which is always accepted (RFC 5321 §4.5.1).",
            examples=["alice"],
        ),
    ] = "postmaster"
    full: Annotated[
        Literal["defer", "reject"],
        Meta(
            description="What a mailbox over its quota answers: `defer` (452 4.2.2, the sender is to try again) or "
            "`reject` (552 5.2.2)."
        ),
    ] = "defer"
    line_ending: Annotated[
        Literal["crlf", "lf"],
        Meta(description="Line ends of the stored files; `crlf` stores what arrived, byte for byte."),
    ] = "crlf"
    share_files: Annotated[
        bool,
        Meta(
            description="Whether the copies for several recipients of one message may be one file with several "
            "names; only where all files belong to the server's user."
        ),
    ] = False

    def __post_init__(self) -> None:
        try:
            Layout(self.path)
        except ValueError as error:
            raise ValueError(f"path: {error}") from None
