"""What the outcome of a question means for the client who waits at RCPT."""

from typing import Literal

from fastsmtp.mail.reply import CANNOT_VERIFY, Reply
from fastsmtp.smtp.outgoing_values import Outcome

WORDS = 200
"""Characters of a next hop's words that a client is told; with the rest of the reply they fit the 512 octets of
RFC 5321 §4.5.3.1.5."""

_NOT_ABOUT_IT = (421, 500, 502, 503, 530)
"""Answers to RCPT that are about the session: it ends, the command or its order is wrong, log in first."""

About = Literal["recipient", "question", "site"]
"""What an answer says something about: this recipient; nothing but this one question; everybody at those hosts."""


def judge(outcome: Outcome) -> tuple[Reply | None, About]:
    """The reply to RCPT, None where the recipient is known, and what it is about.

    Only what was said to RCPT is about the recipient. A next hop that refuses MAIL from the null sender, or EHLO,
    cannot be asked: nobody is refused for good because of it.
    """
    if outcome.status in ("delivered", "relayed"):
        return None, "recipient"
    if outcome.stage == "plan" and outcome.status == "failed":
        return Reply(550, outcome.enhanced[2:], outcome.text), "recipient"
    if outcome.stage == "rcpt" and outcome.code not in _NOT_ABOUT_IT:
        if not outcome.code:
            return CANNOT_VERIFY, "question"
        return _quoted(outcome), "recipient"
    return CANNOT_VERIFY, "site"


def _quoted(outcome: Outcome) -> Reply:
    """The next hop's words, in ASCII. 550 without a status of its own says that there is no such mailbox."""
    told = outcome.text.startswith(outcome.enhanced)
    words = outcome.text[len(outcome.enhanced) :].strip() if told else outcome.text
    words = words.encode("ascii", "replace").decode("ascii")
    if len(words) > WORDS:
        words = f"{words[: WORDS - 3]}..."
    text = f"the next hop says: {outcome.code} {words}".rstrip()
    if outcome.status != "failed":
        return Reply(450, outcome.enhanced[2:], text)
    return Reply(550, outcome.enhanced[2:] if told or outcome.code != 550 else "1.1", text)
