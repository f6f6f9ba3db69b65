"""The table of aliases by itself."""

import pytest

from fastsmtp.config.errors import SettingsError
from fastsmtp.routing.aliases import AliasTable, Member

TABLE = AliasTable(
    {
        "Info@Example.org": ("Alice@Example.org", '"a b"@far.test'),
        "@old.test": ("@new.test", "archive@example.org"),
        "owner-INFO@example.org": ("bob@example.org",),
    }
)


def test_what_is_found() -> None:
    info = TABLE.named("info", "example.org")
    assert info is not None
    assert info.place == 'aliases."Info@Example.org"'
    assert info.owner == "owner-INFO@example.org"
    assert info.fixed
    assert list(map(str, info.members)) == ["Alice@Example.org", '"a b"@far.test']
    caught = TABLE.catch_all("old.test")
    assert caught is not None
    assert not caught.fixed
    assert caught.owner is None
    assert caught.members[0].of("X") == ("X", "new.test")
    assert caught.members[1].of("X") == ("archive", "example.org")
    assert list(map(str, caught.members)) == ["@new.test", "archive@example.org"]
    owner = TABLE.named("owner-info", "example.org")
    assert owner is not None
    assert owner.owner is None
    assert TABLE.named("x", "old.test") is None
    assert TABLE.catch_all("example.org") is None
    assert [key for key, _ in TABLE.entries()] == [
        ("info", "example.org"),
        ("owner-info", "example.org"),
        ("", "old.test"),
    ]
    assert TABLE.domains() == {"example.org", "far.test", "old.test", "new.test"}
    assert Member(None, "x.test").of("me") == ("me", "x.test")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"info": ("a@b.test",)}, 'aliases.info: expected "user@domain" or "@domain", got "info"'),
        ({"@": ("a@b.test",)}, 'aliases."@": expected "user@domain" or "@domain", got "@"'),
        ({"a@b.test": ()}, 'aliases."a@b.test": expected at least one address'),
        ({"a@b.test": ("bob",)}, 'aliases."a@b.test": expected "user@domain", got "bob"'),
        (
            {"a@b.test": ("x@b.test", "@c.test")},
            'aliases."a@b.test"[1]: expected "user@domain", got "@c.test"',
        ),
        ({"a@b.test": ("|/bin/sh",)}, 'aliases."a@b.test": expected "user@domain", got "|/bin/sh"'),
        ({"a@b.test": ("@x:y@b.test",)}, 'aliases."a@b.test": expected "user@domain", got "@x:y@b.test"'),
        ({"@b.test": ("bob",)}, 'aliases."@b.test": expected "user@domain" or "@domain", got "bob"'),
        ({"a@b.test": ("c@d.test",), "A@B.test": ("c@d.test",)}, 'aliases."A@B.test": it is "a@b.test" too'),
    ],
)
def test_bad(settings: dict[str, tuple[str, ...]], problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        AliasTable(settings)
    assert caught.value.problems == (problem,)
