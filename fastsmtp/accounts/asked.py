"""What backends share that ask somebody else whether a password is right, and learn nothing but that."""

from collections.abc import Callable

from fastsmtp.accounts.base import PASSWORD, Refused, ScramKeys, Told, Unavailable, Verdict


class Asked:
    """The part of an `Authenticator` that is the same for all of them. ``whom`` they ask, a class says."""

    mechanisms = PASSWORD
    whom = ""

    def scram(
        self, login: str, told: Callable[[ScramKeys | Unavailable], None]
    ) -> ScramKeys | Unavailable | None:
        """See `Authenticator.scram`; nobody is given the keys."""
        return Unavailable(f"{self.whom} gives no keys for SCRAM")

    def vouched(self, login: str, told: Told) -> Verdict | None:
        """See `Authenticator.vouched`."""
        return Refused(f"{self.whom} is not asked who exists, so that no token counts")
