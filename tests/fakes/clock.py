"""A clock that stands still until a test moves it."""


class FakeClock:
    """``wall`` is what `now` says, ``steady`` what `monotonic` says, both in seconds."""

    def __init__(self, wall: float = 1_700_000_000.0, steady: float = 1_000.0) -> None:
        self.wall = wall
        self.steady = steady

    def now(self) -> float:
        """See `Clock.now`."""
        return self.wall

    def monotonic(self) -> float:
        """See `Clock.monotonic`."""
        return self.steady

    def pass_by(self, seconds: float) -> None:
        """Move both clocks."""
        self.wall += seconds
        self.steady += seconds
