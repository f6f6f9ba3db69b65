"""What became of one message, put together from its events."""

from typing import Any, Literal

from msgspec import Struct

from fastsmtp.ledger.line import Line
from fastsmtp.ledger.search import Ledger, folded

State = Literal["waiting", "deferred", "delivered", "sent", "bounced", "expired", "failed", "removed"]
_RESULTS: dict[str, State] = {
    state: state for state in ("deferred", "delivered", "sent", "bounced", "expired", "failed")
}
FINAL = frozenset({"delivered", "sent", "bounced", "expired", "failed", "removed"})


class Fate(Struct):
    """What is known of one recipient. ``words`` are the remote's, or the reason; ``where`` is mailbox or host;
    ``at`` and ``next_at`` in seconds since 1970 UTC, 0 where not known; ``next_at`` is when it is tried again."""

    address: str
    state: State = "waiting"
    at: float = 0.0
    attempts: int = 0
    where: str = ""
    words: str = ""
    next_at: float = 0.0

    @property
    def final(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in FINAL


class Story(Struct):
    """``lines`` are its events, oldest first. ``sender`` is None, and ``size`` 0, where its begin is not known.
    ``about`` is the message that this one tells of, ``notices`` the ones that tell of this one."""

    id: str
    lines: list[Line]
    sender: str | None
    size: int
    message_id: str
    fates: list[Fate]
    about: str
    notices: list[str]

    @property
    def begun(self) -> float:
        """When the first of its events was, in seconds since 1970 UTC."""
        return self.lines[0].at

    @property
    def done(self) -> bool:
        """Whether nothing more will come of any recipient."""
        return all(fate.final for fate in self.fates)


def read_story(ledger: Ledger, queue_id: str) -> Story | None:
    """What the ledger has of a message; None when nothing. Raises OSError."""
    lines = list(ledger.find("id", queue_id))
    return story_of(queue_id, lines[::-1]) if lines else None


def story_of(queue_id: str, lines: list[Line]) -> Story:
    """The story that these events tell, oldest first."""
    story = Story(queue_id, lines, None, 0, "", [], "", [])
    known: dict[str, Fate] = {}
    for line in lines:
        if line.kind == "notified" and line.text("about") == queue_id:
            story.notices.append(line.text("id"))
        elif line.kind == "received":
            story.sender = line.text("from")
            story.size = int(line.number("size"))
            story.message_id = line.text("message_id")
            for address in line.texts("to"):
                _fate(known, address)
        elif line.kind == "notified":
            story.about = line.text("about")
            story.sender = ""
            _fate(known, line.text("to"))
        elif line.kind in _RESULTS:
            _tell(_fate(known, line.text("to")), line)
        elif line.kind == "routed":
            for address in line.texts("to"):
                _fate(known, address)
        elif line.kind == "changed" and line.text("action") == "remove":
            for fate in known.values():
                if not fate.final:
                    fate.state, fate.at, fate.words = "removed", line.at, "removed by hand"
    story.fates = list(known.values())
    return story


def facts(story: Story) -> dict[str, Any]:
    """A story as JSON has it."""
    return {
        "id": story.id,
        "sender": story.sender,
        "size": story.size,
        "message_id": story.message_id,
        "begun": story.begun,
        "done": story.done,
        "about": story.about,
        "notices": story.notices,
        "recipients": [
            {name: getattr(fate, name) for name in Fate.__struct_fields__} for fate in story.fates
        ],
        "events": [line.fields for line in story.lines],
    }


def _fate(known: dict[str, Fate], address: str) -> Fate:
    return known.setdefault(folded(address), Fate(address))


def _tell(fate: Fate, line: Line) -> None:
    fate.state = _RESULTS[line.kind]
    fate.at = line.at
    fate.attempts += 1
    fate.where = line.text("mailbox") or line.text("relay")
    fate.words = words(line)
    fate.next_at = line.number("next_at")


def words(line: Line) -> str:
    """What was said, with its codes: those of the reply, or the reason. A status with which the words begin is not
    said twice."""
    code = int(line.number("code"))
    said = line.text("reply") or line.text("reason")
    enhanced = line.text("enhanced")
    if said.startswith(f"{enhanced} "):
        enhanced = ""
    return " ".join(filter(None, (str(code) if code else "", enhanced, said)))
