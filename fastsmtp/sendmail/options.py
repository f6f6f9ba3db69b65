"""The command line of sendmail(1): what scripts of forty years may say, most of it without effect here."""

from fastsmtp.sendmail.failure import usage

_VALUES = "ABCDFLMNORVXbdefhopr"
"""Options that have a value, behind the letter or as the next argument."""
_FLAGS = "GIUcimntvxq"
"""Options that have none; of ``-q`` it is behind the letter, if there is one."""

_MOST_ENVID = 100
"""Octets of an envelope id (RFC 3461 §4.4)."""
_MODES = {"m": "submit", "a": "submit", "s": "smtp", "p": "queue", "i": "aliases"}


class Options:
    """What is asked for. ``sender`` is None where nothing is said; ``run`` is what stands behind ``-q``."""

    def __init__(self) -> None:
        self.mode = "submit"
        self.sender: str | None = None
        self.name: str | None = None
        self.from_header = False
        self.ignore_dots = False
        self.config: str | None = None
        self.notify = ""
        self.ret = ""
        self.envid = ""
        self.run = ""
        self.recipients: list[str] = []


def parse(arguments: list[str]) -> Options:
    """The options of ``arguments``. Raises `Failure` (EX_USAGE)."""
    options = Options()
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        if word == "--":
            break
        if word in ("--help", "--version"):
            options.mode = word[2:]
            return options
        _one(options, word[1:], rest)
    options.recipients = rest
    return options


def _one(options: Options, letters: str, rest: list[str]) -> None:
    """The options of one argument; the value of the last one may be the next argument, the first of ``rest``."""
    while letters:
        letter, letters = letters[0], letters[1:]
        if letter in _VALUES:
            if not letters and not rest:
                raise usage(f"option -{letter} needs a value")
            _valued(options, letter, letters or rest.pop(0))
            return
        if letter not in _FLAGS:
            raise usage(f"option -{letter} is not known")
        if letter == "q":
            options.mode, options.run = "run", letters
            return
        if letter == "i":
            options.ignore_dots = True
        elif letter == "t":
            options.from_header = True
        elif letter == "I":
            options.mode = "aliases"


def _valued(options: Options, letter: str, value: str) -> None:
    if letter in "fr":
        options.sender = value
    elif letter == "F":
        options.name = value
    elif letter == "C":
        options.config = value
    elif letter == "o" and value == "i":
        options.ignore_dots = True
    elif letter == "N":
        options.notify = _notify(value)
    elif letter == "R":
        options.ret = _ret(value)
    elif letter == "V":
        if len(value.encode("utf-8", "surrogateescape")) > _MOST_ENVID:
            raise usage(f"-V: an envelope id has {_MOST_ENVID} octets at most")
        options.envid = value
    elif letter == "b":
        options.mode = _mode(value)


def _mode(value: str) -> str:
    if value in ("d", "D", "l"):
        raise usage("the server is not started by this command; use: fastsmtp serve -c FILE")
    mode = _MODES.get(value)
    if mode is None:
        raise usage(f"-b{value} is not known; there are -bm, -bs, -bp and -bi")
    return mode


def _notify(value: str) -> str:
    """NOTIFY of RFC 3461 §4.1."""
    words = [word.strip().upper() for word in value.split(",")]
    if words != ["NEVER"] and not set(words) <= {"SUCCESS", "FAILURE", "DELAY"}:
        raise usage(f'-N: expected "never", or some of "success,failure,delay", got "{value}"')
    return ",".join(words)


def _ret(value: str) -> str:
    """RET of RFC 3461 §4.3."""
    if value.lower() not in ("full", "hdrs"):
        raise usage(f'-R: expected "full" or "hdrs", got "{value}"')
    return value.upper()
