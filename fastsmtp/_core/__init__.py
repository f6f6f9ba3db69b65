"""The compiled core's face, and the only place that chooses it: FASTSMTP_CORE=c (default) or py.

``COMPILED`` tells which; the protocol's two implementations are chosen by it in smtp/.
"""

import os

_CHOICE = os.environ.get("FASTSMTP_CORE", "c")

COMPILED = _CHOICE == "c"

if _CHOICE == "c":
    try:
        from fastsmtp._core import body, client, dialog, fsio, net  # noqa: F401  (a half-built core shows here)
    except ImportError as error:
        raise ImportError(
            f"the compiled core is missing ({error}); run `make build`, or set FASTSMTP_CORE=py for the slow twin"
        ) from None
elif _CHOICE == "py":
    from fastsmtp._core import _py_fsio as fsio  # type: ignore[no-redef]
    from fastsmtp._core import _py_net as net  # type: ignore[no-redef]
else:
    raise ImportError(f"FASTSMTP_CORE is {_CHOICE!r}; it may be c or py")

__all__ = ["COMPILED", "fsio", "net"]
