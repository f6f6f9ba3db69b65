"""How routes are named to people: by the match of the rule and by its hops, as the router decides it now."""

import pytest

from fastsmtp.process.route_names import RouteNames
from tests.fakes.routing import route, router


@pytest.fixture
def names() -> RouteNames:
    """Those of a few routes."""
    made = router(
        route("far.test", "a.test:25", "lmtp:[::1]:24"),
        route("old@example.org", "reject:has moved"),
        route("*.below.test", "mx"),
    )
    return RouteNames(lambda: made)


@pytest.mark.parametrize(
    ("address", "hops", "words", "told"),
    [
        (
            "bob@far.test",
            (),
            ["far.test", "a.test:25", "lmtp:[::1]:24"],
            'a.test:25, then lmtp:[::1]:24, by match = "far.test"',
        ),
        ("bob@else.test", (), ["*", "mx:else.test"], 'mx:else.test, by match = "*"'),
        (
            "bob@x.below.test",
            (),
            ["*.below.test", "mx:x.below.test"],
            'mx:x.below.test, by match = "*.below.test"',
        ),
        ("alice@example.org", (), ["local"], "mailbox alice@example.org"),
        ("old@example.org", (), ["reject"], "none: 550 has moved"),
        ("bob@far.test", ("b.test:26", "mx"), ["b.test:26", "mx"], "b.test:26, then mx, as was said by hand"),
    ],
)
def test_names(names: RouteNames, address: str, hops: tuple[str, ...], words: list[str], told: str) -> None:
    assert list(names.words(address, hops)) == words
    assert names.told(address, hops) == told


def test_hops_are_checked_as_those_of_a_route(names: RouteNames) -> None:
    names.check(("a.test:25", "mx"))
    with pytest.raises(ValueError, match='"local" is no other host'):
        names.check(("local",))


def test_the_router_is_made_when_it_is_wanted_and_once() -> None:
    made: list[int] = []

    def make() -> object:
        made.append(1)
        return router()

    names = RouteNames(make)  # type: ignore[arg-type]
    names.check(("mx",))
    assert made == []
    names.told("a@b.test", ())
    names.told("a@b.test", ())
    assert made == [1]
