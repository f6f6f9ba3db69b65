"""Where refusing begins and where it ends, for each thing that may run short, and what the log says then."""

from collections.abc import Callable
from pathlib import Path

from fastsmtp.limits.probes import Space
from fastsmtp.limits.settings import PressureSettings
from fastsmtp.mail.reply import DISK_LOW, MEMORY_LOW, QUEUE_FULL, Reply

_COUNTED = ("inodes_free", "queue")
"""Settings that are no bytes."""


class Mark:
    """One thing that may run short. ``flag`` is one byte, perhaps shared: whether the mark is crossed.

    What is to stay above ``limit`` crosses it below, and is well from a quarter more on; what ``rises`` crosses it
    there, and is well at nine tenths."""

    __slots__ = ("_flag", "back", "key", "limit", "mend", "reply", "rises", "what")

    def __init__(
        self,
        flag: memoryview,
        what: str,
        key: str,
        limit: int,
        reply: Reply,
        mend: str,
        *,
        rises: bool = False,
    ) -> None:
        self._flag = flag
        self.what = what
        self.key = key
        self.limit = limit
        self.reply = reply
        self.mend = mend
        self.rises = rises
        self.back = limit * 9 // 10 if rises else limit + limit // 4

    @property
    def crossed(self) -> bool:
        """Whether mail is refused for it."""
        return bool(self._flag[0])

    def judge(self, value: int) -> str | None:
        """``value`` was read: what the log is to be told when that begins or ends a refusal."""
        if self.crossed:
            if value > self.back if self.rises else value < self.back:
                return None
            self._flag[0] = 0
            return f"pressure ends: {self.what} is {self._shown(value)}"
        if not self.short(value):
            return None
        self._flag[0] = 1
        return f"pressure begins: {self.story(value)}"

    def short(self, value: int) -> bool:
        """Whether ``value`` crosses the mark."""
        return value >= self.limit if self.rises else value < self.limit

    def story(self, value: int) -> str:
        """For a person: what stands at ``value``, which crosses the mark, and how to mend it."""
        return (
            f"{self.what} is {self._shown(value)}, pressure.{self.key} is {self._shown(self.limit)}; "
            f"new mail gets 452 until it is {self._shown(self.back)}: {self.mend}"
        )

    def _shown(self, value: int) -> str:
        if self.key in _COUNTED:
            return f"{value:,}"
        return f"{value / (1 << 20):,.1f} MiB" if value < 10 << 30 else f"{value / (1 << 30):,.1f} GiB"


def disk_marks(settings: PressureSettings, place: Path, free: memoryview, inodes: memoryview) -> list[Mark]:
    """Those of the file system of ``place``, with their flags."""
    marks = []
    if settings.disk_free:
        marks.append(
            Mark(
                free,
                f"free space of {place}",
                "disk_free",
                settings.disk_free,
                DISK_LOW,
                "make room there (df)",
            )
        )
    if settings.inodes_free:
        marks.append(
            Mark(
                inodes,
                f"number of free inodes of {place}",
                "inodes_free",
                settings.inodes_free,
                DISK_LOW,
                "remove files there (df -i)",
            )
        )
    return marks


def of_disk(mark: Mark, found: Space) -> int | None:
    """The figure that one of the `disk_marks` judges; None where there is none."""
    return found.free if mark.key == "disk_free" else found.inodes


def memory_mark(
    settings: PressureSettings, whole: Callable[[], int], workers: int, flag: memoryview
) -> Mark | None:
    """That of one worker's own memory, of ``workers``; ``whole`` asks for what all of them have."""
    limit = settings.memory
    if limit is None:
        try:
            limit = whole() * 3 // 4 // workers
        except (OSError, ValueError):
            return None  # a machine that does not tell is not watched
    if not limit:
        return None
    mend = "lower limits.connections, or give it more"
    return Mark(flag, "memory of this worker", "memory", limit, MEMORY_LOW, mend, rises=True)


def available_mark(settings: PressureSettings, flag: memoryview) -> Mark | None:
    """That of the machine's memory."""
    if not settings.memory_free:
        return None
    mend = "see what takes it (top), or give the machine more"
    return Mark(
        flag, "available memory of the machine", "memory_free", settings.memory_free, MEMORY_LOW, mend
    )


def queue_mark(settings: PressureSettings, flag: memoryview) -> Mark | None:
    """That of the number of messages that wait."""
    if not settings.queue:
        return None
    mend = "see why it waits (fastsmtp queue ls)"
    return Mark(flag, "number of messages that wait", "queue", settings.queue, QUEUE_FULL, mend, rises=True)
