"""fastsmtp: an SMTP server in Python whose hot path is compiled.

The folders are the hops of a message's path::

    session ──► intake ──► spool ──► queue ──► transport ──► Maildir
       │           (250 leaves after the spool's commit)
       smtp, _core: the protocol itself, without I/O

What each package may import stands in docs/architecture.md and is a test.
"""

__version__ = "0.1.0"
