"""What deliveries and questions have in common; what they make of it is in their own tests."""

from types import SimpleNamespace
from typing import Any

from fastsmtp.transport.smtp.errand import Errand


class One(Errand):
    """Remembers what it came to."""

    def __init__(self, kept: Any) -> None:
        self.used: list[Any] = []
        pool = SimpleNamespace(take=lambda key, now: kept)
        super().__init__(
            SimpleNamespace(pool=pool, lines=SimpleNamespace(now=1.0)),  # type: ignore[arg-type]
            SimpleNamespace(key="k"),  # type: ignore[arg-type]
        )

    def _use(self, connection: Any) -> None:
        self.used.append(connection)
        self._connection = connection

    def _unreachable(self, failures: Any) -> None:
        raise AssertionError(failures)


def test_a_connection_that_is_kept_is_used_and_left() -> None:
    dropped: list[str] = []
    kept = SimpleNamespace(
        owner="somebody",
        remote="mx[192.0.2.1]:25",
        drop=dropped.append,
        protocol=SimpleNamespace(stage="rcpt"),
    )
    one = One(kept)
    one.start()
    assert one.used == [kept]
    assert one._reused
    assert one._abandon("enough") == ("mx[192.0.2.1]:25", "rcpt")
    assert (dropped, kept.owner) == (["enough"], None)
    assert one._abandon("once more") == ("", "connect")
    assert dropped == ["enough"]
