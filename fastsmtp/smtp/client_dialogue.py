"""The client's side of a session as the rest of the program uses it: compiled, or its plain twin."""

from typing import TYPE_CHECKING

from fastsmtp import _core

if TYPE_CHECKING or not _core.COMPILED:
    from fastsmtp.smtp.client import ClientProtocol
else:
    from fastsmtp._core.client import ClientProtocol

__all__ = ["ClientProtocol"]
