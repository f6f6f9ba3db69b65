"""How the router comes to its answer, step by step, for people and programs."""

from msgspec import Struct
from msgspec.structs import replace

from fastsmtp.mail.address import Address
from fastsmtp.mail.reply import BAD_RECIPIENT_SYNTAX, RECIPIENT_OK, RELAY_DENIED, Reply
from fastsmtp.routing.route import Expansion, LocalRoute, RemoteRoute
from fastsmtp.routing.router import Router
from fastsmtp.smtp.grammar import parse_path


class Step(Struct, frozen=True):
    """One step: what it is about, in words, and where in the settings that stands, if anywhere."""

    step: str
    text: str
    place: str = ""


class Final(Struct, frozen=True):
    """Where one recipient goes: into a mailbox or to hosts. ``sender`` is its reverse-path when that is not the
    message's."""

    address: str
    route: LocalRoute | RemoteRoute
    sender: str | None = None

    def __str__(self) -> str:
        if isinstance(self.route, LocalRoute):
            return f"mailbox {self.route.mailbox}"
        text = ", then ".join(map(str, self.route.hops))
        if self.route.verify:
            text += ", which is asked for the recipient"
        return text if self.sender is None else f"{text}, from <{self.sender}>"


class Explanation(Struct, frozen=True):
    """``reply`` is what RCPT gets; ``finals`` are the recipients it stands for. For an address that this client may
    not write to, `permitted` is where it goes for those who may."""

    steps: list[Step]
    reply: Reply
    finals: list[Final]
    permitted: Final | None = None


def explain(router: Router, text: str, client_ip: str, sender: str) -> Explanation:
    """What ``router`` answers to RCPT for ``text`` (with or without angle brackets) by the client at ``client_ip``
    in a message from ``sender``, and how it comes to that."""
    steps: list[Step] = []

    def trace(step: str, text: str, place: str = "") -> None:
        steps.append(Step(step, text, place))

    bare = text[1:-1] if text.startswith("<") and text.endswith(">") else text
    parsed = parse_path(f"<{bare}>", BAD_RECIPIENT_SYNTAX)
    if isinstance(parsed, Reply) or not parsed[0].text or parsed[1]:
        return Explanation(steps, BAD_RECIPIENT_SYNTAX, [])
    address = parsed[0]
    route = f", source route {bare[: -len(address.text)]} left out" if address.text != bare else ""
    trace("address", f'local part "{address.local}", domain "{address.domain}"{route}')
    found = router.explain(address.local, address.domain, client_ip, trace)
    if isinstance(found, Reply):
        permitted = _permitted(router, address) if found is RELAY_DENIED else None
        return Explanation(steps, found, [], permitted)
    trusted = router.trusts(client_ip)
    if not isinstance(found, Expansion):
        if isinstance(found, RemoteRoute) and found.verify and trusted:
            found = replace(found, verify=False)
        return Explanation(steps, RECIPIENT_OK, [Final(address.text, found)])
    finals = []
    asked = {} if trusted else dict(found.asked)
    for one in router.recipients(found, address.text, sender, None):
        place = LocalRoute(one.mailbox) if one.mailbox else router.next_hop(one.address)
        place = asked.get(one.address, place)
        if not isinstance(place, Reply):
            finals.append(Final(one.address, place, one.sender))
    return Explanation(steps, RECIPIENT_OK, finals)


def _permitted(router: Router, address: Address) -> Final | None:
    place = router.next_hop(address.text)
    return None if isinstance(place, Reply) else Final(address.text, place)


def checked_sender(text: str) -> str:
    """A sender as MAIL would name it, without brackets, empty for the null sender; raises ValueError."""
    bare = text[1:-1] if text.startswith("<") and text.endswith(">") else text
    parsed = parse_path(f"<{bare}>", BAD_RECIPIENT_SYNTAX)
    if isinstance(parsed, Reply) or parsed[1] or (parsed[0].text and not parsed[0].domain):
        raise ValueError(f'expected an address such as "alice@example.org", or "<>", got "{text}"')
    return parsed[0].text
