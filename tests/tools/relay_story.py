"""What the record of a `RelayOffice` and the mailboxes say together: whether the promise was kept."""

from collections import Counter
from collections.abc import Callable, Sequence
from email import message_from_bytes
from pathlib import Path

from fastsmtp.mail.envelope import Recipient
from tests.fakes.relay_office import notices_in, number_in

Lines = Sequence[Sequence[str]]
Notices = Counter[tuple[str, str, str]]


class Mailboxes:
    """What stands in all mailboxes below ``mail``: ``letters`` by number and mailbox, ``notices`` by the message's
    number, the recipient, and what has become of him."""

    def __init__(self, mail: Path) -> None:
        self.letters: Counter[tuple[str, str]] = Counter()
        self.notices: Notices = Counter()
        for file in mail.glob("**/new/*"):
            content = file.read_bytes()
            number = str(number_in(content))
            notices = notices_in(content)
            if notices:
                assert message_from_bytes(content).get_content_type() == "multipart/report"
                self.notices.update((number, *notice) for notice in notices)
            else:
                box = file.parent.parent
                self.letters[number, f"{box.name}@{box.parent.name}"] += 1


def faults(lines: Lines, mail: Path, recipients: Callable[[int], Sequence[Recipient]]) -> list[str]:
    """What is wrong when all is over, and nothing waits any more. ``recipients`` are those of a message."""
    boxes = Mailboxes(mail)
    notices = boxes.notices + _taken_elsewhere(lines)
    wrong = [f"{line[1]} was sent with another content" for line in lines if line[0] == "C"]
    wrong += [f"{one} stands there {times} times" for one, times in boxes.letters.items() if times > 1]
    return wrong + _lost(lines, boxes, notices, recipients) + _again(lines) + _owed(lines, notices)


def _taken_elsewhere(lines: Lines) -> Notices:
    """Notices that went to other hosts; one that was sent twice is one."""
    there = {tuple(words) for what, *words in lines if what == "N"}
    return Counter((key.partition(":")[2], address, action) for key, address, action in there)


def _lost(
    lines: Lines, boxes: Mailboxes, notices: Notices, recipients: Callable[[int], Sequence[Recipient]]
) -> list[str]:
    """Who has neither his mail nor a sender who knows of it."""
    taken = {(line[1], line[2]) for line in lines if line[0] == "T"}
    wrong = []
    for n in [line[1] for line in lines if line[0] == "A"]:
        for one in recipients(int(n)):
            if one.mailbox:
                there = boxes.letters[n, one.mailbox] > 0
            else:
                there = (n, one.address) in taken or notices[n, one.address, "failed"] > 0
            if not there:
                wrong.append(f"{n} to {one.address} is lost")
    return wrong


def _again(lines: Lines) -> list[str]:
    """Who was sent what he had: only a death between his 250 and our commit excuses that."""
    wrong: list[str] = []
    life = 0
    taken: dict[tuple[str, str], int] = {}
    stored: set[tuple[str, str]] = set()
    for what, *words in lines:
        if what == "X":
            life += 1
        if what not in ("M", "T", "S"):
            continue
        one = (words[0], words[1])
        if what == "S":
            stored.add(one)
        elif one in stored:
            wrong.append(f"{one} is sent again, though it was stored that he is done with")
        elif taken.get(one) == life:
            wrong.append(f"{one} is sent again, and nobody died")
        if what == "T":
            taken[one] = life
    return wrong


def _owed(lines: Lines, notices: Notices) -> list[str]:
    """Notices that are missing, though what they tell was stored, or nobody died since; and such as nobody owed."""
    owed: Notices = Counter()
    must: set[tuple[str, str, str]] = set()
    of_this_life: dict[tuple[str, str], tuple[str, str, str]] = {}
    for what, *words in lines:
        if what == "X":
            of_this_life.clear()
        elif what == "O" and ":" not in words[0]:
            one = (words[0], words[1], words[2])
            owed[one] += 1
            of_this_life[one[:2]] = one
        elif what == "S" and (words[0], words[1]) in of_this_life:
            must.add(of_this_life[words[0], words[1]])
    must |= set(of_this_life.values())
    return [f"nobody was told of {one}" for one in must if not notices[one]] + [
        f"{times} notices of {one}, of which {owed[one]} were owed"
        for one, times in notices.items()
        if times > owed[one]
    ]
