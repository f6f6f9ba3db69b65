"""Whoever is only asked for passwords gives no keys and takes no tokens."""

from fastsmtp.accounts.asked import Asked
from fastsmtp.accounts.base import PASSWORD, Refused, Unavailable


class Porter(Asked):
    """Somebody."""

    whom = "the porter"


def test_nothing_but_passwords() -> None:
    porter = Porter()
    assert porter.mechanisms == PASSWORD
    assert porter.scram("alice", lambda _: None) == Unavailable("the porter gives no keys for SCRAM")
    refusal = "the porter is not asked who exists, so that no token counts"
    assert porter.vouched("alice", lambda _: None) == Refused(refusal)
