"""From a server's words to values: what a reply means for a recipient (RFC 5321 §4.2, RFC 3463), and what an EHLO
reply offers (RFC 5321 §4.1.1.1). Whatever a server says comes out bounded and printable.
"""

import re
from collections.abc import Sequence

from fastsmtp.mail.result import TEXT_LIMIT
from fastsmtp.smtp.outgoing_values import Offer, Outcome, Status

_ENHANCED = re.compile(r"([245]\.\d{1,3}\.\d{1,3})(?= |$)", re.ASCII)
_KEYWORD = re.compile(r"[A-Z0-9][A-Z0-9-]*")

_STATUS: dict[int, Status] = {2: "delivered", 4: "deferred", 5: "failed"}

_DERIVED = {
    # what a code says by itself: RFC 5321 §4.2.2, RFC 7504 §4, RFC 7505 §4.2, RFC 4954 §6
    421: "3.2",
    450: "2.0",
    451: "3.0",
    452: "3.1",
    454: "7.0",
    455: "5.4",
    500: "5.2",
    501: "5.4",
    502: "5.1",
    503: "5.1",
    504: "5.4",
    521: "3.2",
    530: "7.0",
    534: "7.9",
    535: "7.8",
    538: "7.11",
    551: "1.6",
    552: "3.4",
    553: "1.0",
    555: "5.4",
    556: "1.10",
}
_DERIVED_AT = {
    # what it says at one stage
    ("connect", 554): "3.2",
    ("mail", 452): "3.1",
    ("mail", 550): "1.8",
    ("mail", 553): "1.7",
    ("rcpt", 452): "5.3",
    ("rcpt", 501): "1.3",
    ("rcpt", 550): "1.0",
    ("rcpt", 552): "2.2",
    ("rcpt", 553): "1.3",
}

_WAITED_FOR = {
    "connect": "the greeting",
    "helo": "the answer to EHLO",
    "starttls": "the answer to STARTTLS",
    "tls": "the TLS handshake",
    "auth": "the answer to AUTH",
    "rset": "the answer to RSET",
    "mail": "the answer to MAIL",
    "rcpt": "the answer to RCPT",
    "data": "the answer to DATA",
    "quit": "the answer to QUIT",
}


def printable(text: bytes) -> str:
    """``text`` as one printable line: what is not UTF-8 and what cannot be printed is replaced."""
    words = text.decode("utf-8", "replace").strip()
    if not words.isprintable():
        words = "".join(
            letter if letter.isprintable() else " " if letter == "\t" else "?" for letter in words
        ).strip()
    return words


def join(lines: Sequence[bytes]) -> str:
    """The lines of a reply, codes included, as one text without them. An enhanced status that a later line repeats
    is left out (RFC 2034 §4 has it on every line); cut at `TEXT_LIMIT` characters."""
    text = printable(lines[0][4:])
    if len(lines) > 1:
        found = _ENHANCED.match(text)
        repeated = found[0] + " " if found else "\0"
        for line in lines[1:]:
            if len(text) > TEXT_LIMIT:
                break
            text += " " + printable(line[4:]).removeprefix(repeated)
        text = text.strip()
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 3] + "..."


def judge(code: int, lines: Sequence[bytes], stage: str, taken: Status) -> Outcome:
    """What a reply of 2xx, 4xx or 5xx means at ``stage``; ``taken``: the status that a 2xx gives."""
    text = join(lines)
    digit = code // 100
    found = _ENHANCED.match(text)
    told = found[0] if found and int(text[0]) == digit else ""
    enhanced = told or derived(code, stage)
    status = taken if digit == 2 else _STATUS[digit]
    if code == 552 and stage == "rcpt" and told in ("", "5.5.3"):
        # RFC 5321 §4.5.3.1.10: RFC 821 had 552 for too many recipients; it is to be read as 452.
        status, enhanced = "deferred", "4.5.3"
    return Outcome(status, code, enhanced, text, stage, False)


def derived(code: int, stage: str) -> str:
    """An enhanced status for a reply that brings none (RFC 3463 §3)."""
    detail = _DERIVED_AT.get((stage, code)) or _DERIVED.get(code, "0.0")
    return f"{code // 100}.{detail}"


def is_full(outcome: Outcome) -> bool:
    """Whether a refusal of RCPT says that there are too many of them (RFC 5321 §4.5.3.1.10)."""
    return outcome.code in (452, 552) and outcome.enhanced == "4.5.3"


def lost(why: str, enhanced: str, stage: str, ended: bool) -> Outcome:
    """The outcome of a connection that is gone; ``ended``: the end of the body had been sent."""
    if stage == "body" and ended:
        when = "after the message was sent and before the answer; it may have arrived"
    elif stage == "body":
        when = "while the message was sent"
    elif stage in _WAITED_FOR:
        when = f"while waiting for {_WAITED_FOR[stage]}"
    else:
        when = "between messages"
    return Outcome("deferred", 0, enhanced, f"{why} {when}"[:TEXT_LIMIT], stage, True)


def nonsense(why: str, stage: str) -> Outcome:
    """The outcome of a server that does not keep to the protocol."""
    where = f" instead of {_WAITED_FOR[stage]}" if stage in _WAITED_FOR else ""
    return Outcome("deferred", 0, "4.5.0", f"{why}{where}", stage, True)


def read_offer(lines: Sequence[bytes]) -> Offer:
    """The extensions in an EHLO reply. Its first line is the server's name, not a keyword (RFC 5321 §4.1.1.1)."""
    name = printable(lines[0][4:]).partition(" ")[0][:255]
    keywords: set[str] = set()
    mechanisms: set[str] = set()
    size = 0
    limits: dict[str, int] = {}
    for line in lines[1:]:
        # "AUTH=LOGIN" is how servers wrote it before RFC 2554; both forms come
        words = line[4:].decode("ascii", "replace").upper().replace("AUTH=", "AUTH ", 1).split()
        if not words or not _KEYWORD.fullmatch(words[0]):
            continue
        keywords.add(words[0])
        if words[0] == "AUTH":
            mechanisms.update(words[1:])
        elif words[0] == "SIZE":
            size = _number(words[1]) if len(words) > 1 else 0
        elif words[0] == "LIMITS":
            for word in words[1:]:
                key, _, value = word.partition("=")
                limits[key] = _number(value)  # RFC 9422 §4; an unreadable one counts as not told
    return Offer(
        name,
        frozenset(keywords),
        frozenset(mechanisms),
        size,
        limits.get("MAILMAX", 0),
        limits.get("RCPTMAX", 0),
        limits.get("RCPTDOMAINMAX", 0),
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0
