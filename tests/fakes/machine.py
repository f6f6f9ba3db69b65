"""A machine whose disk and memory are what a test says."""

from pathlib import Path

from fastsmtp.limits.probes import Space

PLENTY = 1 << 40


class FakeMachine:
    """``spaces``: the file systems by a path on them, `disk` being one; sizes in bytes. See `Machine`."""

    disk = Path("/disk")

    def __init__(self) -> None:
        self.spaces: dict[Path, Space | OSError] = {self.disk: Space(PLENTY, PLENTY)}
        self.own = 1 << 20
        self.available = PLENTY
        self.whole = PLENTY
        self.given_back = 0

    def space(self, path: Path) -> Space:
        """See `Machine`."""
        found = self.spaces[path]
        if isinstance(found, OSError):
            raise found
        return found

    def own_memory(self) -> int:
        """See `Machine`."""
        return self.own

    def available_memory(self) -> int:
        """See `Machine`."""
        return self.available

    def whole_memory(self) -> int:
        """See `Machine`."""
        return self.whole

    def give_back(self) -> None:
        """See `Machine`."""
        self.given_back += 1
