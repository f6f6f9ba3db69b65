"""What is different between two settings, as it is told."""

from pathlib import Path

import msgspec

from fastsmtp.process.difference import differences
from fastsmtp.process.settings import ListenerSettings, Settings, default_settings
from fastsmtp.routing.settings import CredentialSettings, RouteSettings

OLD = default_settings(Path("/base"))
change = msgspec.structs.replace


def told(**changes: object) -> list[str]:
    return differences(OLD, change(OLD, **changes))


def test_nothing_is_different() -> None:
    assert told() == []


def test_values_and_tables() -> None:
    assert told(hostname="mx.example.org") == ['hostname: "localhost" -> "mx.example.org"']
    assert told(user="mail") == ['user: (none) -> "mail"']
    assert told(limits=change(OLD.limits, hops=7)) == [f"limits.hops: {OLD.limits.hops} -> 7"]


def test_arrays_of_tables_are_told_one_by_one() -> None:
    more = (*OLD.listeners, ListenerSettings(address="127.0.0.1:2526"))
    assert told(listeners=more) == ["listeners[1]: (none) -> (a table)"]
    other = (change(OLD.listeners[0], address="127.0.0.1:2526"),)
    assert told(listeners=other) == ['listeners[0].address: "127.0.0.1:2525" -> "127.0.0.1:2526"']
    assert told(routes=(RouteSettings(match="far.test", to=("mx",)),)) == ["routes[0]: (none) -> (a table)"]


def test_tables_with_free_keys() -> None:
    assert told(aliases={"a@b.test": ("c@d.test", "e@f.test")}) == [
        'aliases."a@b.test": (none) -> ["c@d.test", "e@f.test"]'
    ]


def test_a_long_value_is_cut() -> None:
    (line,) = told(aliases={"all": tuple(f"user{n}@example.org" for n in range(100))})
    assert line.endswith("...")
    assert len(line) < 100


def test_no_secret_is_shown() -> None:
    def with_password(password: str) -> Settings:
        return change(OLD, credentials={"relay": CredentialSettings(user="us", password=password)})

    lines = differences(with_password("before"), with_password("after"))
    assert lines == ["credentials.relay.password: (secret) -> (secret)"]
    assert differences(OLD, with_password("after")) == ["credentials.relay: (none) -> (a table)"]
