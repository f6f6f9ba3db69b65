"""The ``[log]`` table."""

from typing import Annotated, Literal

from msgspec import Meta, Struct


class LogSettings(Struct, frozen=True, kw_only=True):
    """Where the log goes, and how it is written; docs/logging.md."""

    format: Annotated[
        Literal["text", "json", "postfix"],
        Meta(
            description="`text`: `key=value`, for people; `json`: one object a line; `postfix`: as Postfix "
            "writes, for programs that read its log."
        ),
    ] = "text"
    to: Annotated[
        str,
        Meta(
            min_length=1,
            description="`stderr`, `journald` (its socket may be named: `journald:/run/…`), or a file, which is "
            "opened anew at SIGUSR1.",
            examples=["journald", "/var/log/fastsmtp.log"],
        ),
    ] = "stderr"

    @property
    def file(self) -> str | None:
        """The file, if it is one."""
        return None if self.to == "stderr" or self.to.partition(":")[0] == "journald" else self.to
