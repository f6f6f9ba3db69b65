"""Which addresses are this server's own."""

import pytest

from fastsmtp.transport.smtp.own import Own


@pytest.mark.parametrize(
    ("listener", "address", "port", "ours"),
    [
        ("127.0.0.1", "127.0.0.1", 25, True),
        ("127.0.0.1", "127.0.0.1", 26, False),
        ("127.0.0.1", "127.0.0.2", 25, False),
        ("127.0.0.1", "::ffff:127.0.0.1", 25, True),
        ("2001:db8::1", "2001:DB8:0::1", 25, True),
        ("0.0.0.0", "127.0.0.1", 25, True),
        ("0.0.0.0", "127.9.9.9", 25, True),
        ("0.0.0.0", "127.0.0.1", 26, False),
        ("0.0.0.0", "192.0.2.1", 25, False),  # for documentation: nobody has it
        ("0.0.0.0", "::1", 25, False),
        ("::", "127.0.0.1", 25, False),
        ("::", "2001:db8::1", 25, False),
    ],
)
def test_listens(listener: str, address: str, port: int, ours: bool) -> None:
    assert Own((), [(listener, 25)]).listens(address, port) is ours


def test_without_listeners() -> None:
    assert not Own({"mx.test"}).listens("127.0.0.1", 25)
    assert Own({"mx.test"}).names == {"mx.test"}
