"""The compiled core's face, and the only place that chooses it: FASTSMTP_CORE=c (default) or py.

``COMPILED`` tells which; the protocol's two implementations are chosen by it in smtp/. ``DEBUG`` tells whether
the compiled one was built with its checks.
"""

import os

_CHOICE = os.environ.get("FASTSMTP_CORE", "c")

COMPILED = _CHOICE == "c"

if _CHOICE == "c":
    try:
        # all of them, so that a half-built core shows here
        from fastsmtp._core import (  # noqa: F401
            about,
            body,
            cells,
            client,
            dialog,
            fsio,
            header,
            ledger,
            lines,
            net,
            outgoing,
            outgoing_session,
            stuff,
        )
    except ImportError as error:
        # Of a module that is not there, Python says that there is a circular import.
        _why = "is missing" if "circular import" in str(error) else f"cannot be loaded ({error})"
        raise ImportError(
            f"the compiled core {_why}; run `make build`, or set FASTSMTP_CORE=py for the slow twin"
        ) from None
    DEBUG = about.DEBUG
elif _CHOICE == "py":
    from fastsmtp._core import _py_cells as cells  # type: ignore[no-redef]
    from fastsmtp._core import _py_fsio as fsio  # type: ignore[no-redef]
    from fastsmtp._core import _py_header as header  # type: ignore[no-redef]
    from fastsmtp._core import _py_ledger as ledger  # type: ignore[no-redef]
    from fastsmtp._core import _py_lines as lines  # type: ignore[no-redef]
    from fastsmtp._core import _py_net as net  # type: ignore[no-redef]

    DEBUG = False
else:
    raise ImportError(f"FASTSMTP_CORE is {_CHOICE!r}; it may be c or py")

__all__ = ["COMPILED", "DEBUG", "cells", "fsio", "header", "ledger", "lines", "net"]
