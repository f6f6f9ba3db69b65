"""PAM is asked whether a password is right, and whether its account may be used (pam(3)).

By `python-pam`, in the threads of the pool: modules may wait for whomever they like. Nothing of a password is kept
here, nor is it remembered that it was right.
"""

import ctypes
import itertools
from pathlib import Path
from typing import Any

from fastsmtp.accounts.asked import Asked
from fastsmtp.accounts.base import AccountsError, Identity, Refused, Told, Unavailable, Verdict
from fastsmtp.accounts.names import canonical_login
from fastsmtp.accounts.passwords import IMPOSSIBLE, UNKNOWN, possible
from fastsmtp.accounts.settings import PamSettings
from fastsmtp.clock import Clock
from fastsmtp.pool import ThreadPool

_PATIENCE = 30.0
"""Seconds for an answer, after which it cannot be told now. The thread is lost to others for as long as PAM takes."""
_PLACES = (Path("/etc/pam.d"), Path("/usr/lib/pam.d"))
_FAIL_DELAY = 10  # of Linux-PAM's pam_set_item(3)
_DISALLOW_NULL_AUTHTOK = 1

_REFUSED = Refused("PAM refuses the login")
_EXPIRED = Refused("the account or its password has expired")
_BUSY = Unavailable("too many logins wait for PAM; accounts.hash has the limits")
_SAYS: dict[int, Refused] = {
    6: _REFUSED,  # permission denied
    7: _REFUSED,  # wrong password
    8: _REFUSED,  # not enough rights to find out
    10: UNKNOWN,
    11: _REFUSED,  # too many tries
    12: _EXPIRED,  # a new password is due
    13: _EXPIRED,
    27: _EXPIRED,
}
"""Return codes of Linux-PAM that are an answer; all others are trouble."""


def load() -> Any:
    """The class of `python-pam` that asks. Raises `AccountsError` when it or PAM itself is not installed."""
    try:
        from pam import PamAuthenticator
    except ImportError:
        raise AccountsError("accounts.backend: PAM needs python-pam; install fastsmtp-mta[pam]") from None
    try:
        PamAuthenticator()
    except (OSError, AttributeError):
        raise AccountsError(
            "accounts.backend: there is no libpam on this machine; install PAM itself"
        ) from None
    return PamAuthenticator


def find_service(name: str) -> None:
    """Raises `AccountsError` when PAM knows no such service, and would judge by that of its `other`."""
    if not any((place / name).exists() for place in _PLACES):
        raise AccountsError(
            f"accounts.pam.service: there is no /etc/pam.d/{name}; make it as docs/accounts.md says"
        )


class PamAccounts(Asked):
    """The `Authenticator` of a service of PAM. A login of the domain ``home`` is known there by its local part, any
    other as it is."""

    whom = "PAM"

    def __init__(self, settings: PamSettings, home: str, pool: ThreadPool, clock: Clock) -> None:
        self._service = settings.service
        self._home = home
        self._pool = pool
        self._clock = clock
        self._ids = itertools.count()
        self._waiting: dict[int, tuple[float, Told]] = {}
        self._asks: Any = None
        # Whoever fails is slowed down in front of PAM, and holds no thread meanwhile.
        self._at_once = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p)(lambda *_: None)

    def start(self) -> None:
        """Raises `AccountsError`."""
        find_service(self._service)
        self._asks = load()

    def tick(self) -> None:
        """Give up what has waited too long."""
        now = self._clock.monotonic()
        for number in [number for number, (due, _) in self._waiting.items() if due <= now]:
            self._tell(number, Unavailable("PAM does not answer"))

    # --- `Authenticator` ----------------------------------------------------------------------

    def verify(self, login: str, password: bytes, told: Told) -> Verdict | None:
        """See `Authenticator.verify`."""
        if not possible(password):
            return IMPOSSIBLE
        name = canonical_login(login, self._home)
        if name is None:
            return UNKNOWN
        number = next(self._ids)

        def hear(verdict: Verdict) -> None:
            self._tell(number, verdict)

        if not self._pool.submit(lambda: self._judge(name, password), hear, Unavailable):
            return _BUSY
        self._waiting[number] = (self._clock.monotonic() + _PATIENCE, told)
        return None

    def _tell(self, number: int, verdict: Verdict) -> None:
        _, told = self._waiting.pop(number, (0.0, None))
        if told is not None:
            told(verdict)

    # --- from a thread ------------------------------------------------------------------------

    def _judge(self, login: str, password: bytes) -> Verdict:
        user, _, domain = login.rpartition("@")
        one = self._asks()
        authenticate = one.pam_authenticate

        def without_delay(handle: Any, flags: int) -> int:
            one.pam_set_item(handle, _FAIL_DELAY, ctypes.cast(self._at_once, ctypes.c_void_p))
            return int(authenticate(handle, flags | _DISALLOW_NULL_AUTHTOK))

        one.pam_authenticate = without_delay
        known = user if domain == self._home else login
        # Nobody's session begins here: no credentials are made.
        if one.authenticate(known.encode(), password, self._service.encode(), resetcreds=False):
            return Identity(login)
        return _SAYS.get(one.code) or Unavailable(f"PAM: {one.reason}")
