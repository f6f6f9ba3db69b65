"""Every state of a server's session, every command, and which command is allowed where (RFC 5321 §4.1.4).

The compiled dialogue and its plain twin are both driven by `TABLE`; there is no other place that decides order.
"""

from enum import IntEnum

from fastsmtp.mail import reply
from fastsmtp.mail.reply import Reply


class State(IntEnum):
    """Where a session stands between two commands."""

    START = 0  # connected, nobody has said hello
    READY = 1  # greeted, no transaction
    MAIL = 2  # a sender is given, no recipient tried
    REFUSED = 3  # recipients were tried, none accepted
    RCPT = 4  # at least one recipient accepted
    CHUNKS = 5  # between the chunks of a message (RFC 3030 §2)


class Command(IntEnum):
    """The commands, in the order of `VERBS`."""

    HELO = 0
    EHLO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    BDAT = 5
    RSET = 6
    NOOP = 7
    VRFY = 8
    HELP = 9
    QUIT = 10
    STARTTLS = 11
    AUTH = 12
    LHLO = 13
    XCLIENT = 14


VERBS: tuple[bytes, ...] = tuple(command.name.encode() for command in Command)

_ANYWHERE = {
    Command.HELO,
    Command.EHLO,
    Command.LHLO,
    Command.RSET,
    Command.NOOP,
    Command.VRFY,
    Command.HELP,
    Command.QUIT,
}

# RFC 3207 §4, RFC 4954 §4
_BETWEEN = dict.fromkeys((Command.STARTTLS, Command.AUTH, Command.XCLIENT), reply.NOT_IN_TRANSACTION)

# What may not be said in a state, and the reply to it; everything not named here is allowed.
_REFUSED: dict[State, dict[Command, Reply]] = {
    State.START: {
        Command.MAIL: reply.NEED_HELLO,
        Command.RCPT: reply.NEED_HELLO,
        Command.DATA: reply.NEED_HELLO,
        Command.BDAT: reply.NEED_HELLO,
        Command.STARTTLS: reply.NEED_HELLO,
        Command.AUTH: reply.NEED_HELLO,
    },
    State.READY: {
        Command.RCPT: reply.NEED_MAIL,
        Command.DATA: reply.NEED_MAIL,
        Command.BDAT: reply.NEED_MAIL,
    },
    State.MAIL: {
        **_BETWEEN,
        Command.MAIL: reply.NESTED_MAIL,
        Command.DATA: reply.NEED_RCPT,
        Command.BDAT: reply.NEED_RCPT,
    },
    State.REFUSED: {
        **_BETWEEN,
        Command.MAIL: reply.NESTED_MAIL,
        Command.DATA: reply.NO_VALID_RECIPIENTS,
        Command.BDAT: reply.NO_VALID_RECIPIENTS,
    },
    State.RCPT: {
        **_BETWEEN,
        Command.MAIL: reply.NESTED_MAIL,
    },
    State.CHUNKS: {
        **_BETWEEN,
        Command.MAIL: reply.NESTED_MAIL,
        Command.RCPT: reply.IN_BDAT,
        Command.DATA: reply.DATA_AFTER_BDAT,
    },
}

REFUSALS: tuple[Reply, ...] = tuple(dict.fromkeys(r for row in _REFUSED.values() for r in row.values()))
"""The replies `TABLE` speaks of: cell value k > 0 means ``REFUSALS[k - 1]``."""


def refusal(state: State, command: Command) -> Reply | None:
    """The reply that refuses ``command`` in ``state``, or None where it is allowed."""
    return None if command in _ANYWHERE else _REFUSED[state].get(command)


def _cell(state: State, command: Command) -> int:
    refused = refusal(state, command)
    return 0 if refused is None else REFUSALS.index(refused) + 1


TABLE: bytes = bytes(_cell(state, command) for state in State for command in Command)
"""One byte a cell, row by state, column by command: 0 allowed, k refused with ``REFUSALS[k - 1]``."""
