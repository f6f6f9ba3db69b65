"""What the HTTP process is asked by its control socket, ``data_dir/control/web``.

Verb: ``web.status`` (no argument), a list of `HookStatus` in the order of the settings.
"""

from pathlib import Path

from msgspec import Struct

from fastsmtp.control.place import DIRECTORY

SOCKET = "web"


def web_path(data_dir: Path) -> Path:
    """Its socket."""
    return data_dir / DIRECTORY / SOCKET


class HookStatus(Struct, kw_only=True):
    """How a webhook is doing. Times are seconds since 1970 UTC; ``failing_since`` is None while it takes requests;
    ``behind`` seconds ago came the oldest event that it waits for, as far as that was read."""

    name: str
    url: str
    delivered: int = 0
    failed: int = 0
    given_up: int = 0
    waiting: int = 0
    behind: float = 0.0
    failing_since: float | None = None
    attempts: int = 0
    next_at: float | None = None
    error: str = ""
