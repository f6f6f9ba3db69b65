"""Plain twin of ``net``."""

import os
import socket


def has_input(fd: int) -> bool:
    """Whether bytes already lie in the socket ``fd``; False at end of file or on any error."""
    try:
        with socket.socket(fileno=os.dup(fd)) as copy:
            return bool(copy.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False
