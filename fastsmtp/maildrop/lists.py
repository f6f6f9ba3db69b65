"""Lists of addresses as the fields of a header have them (RFC 5322 §3.4), read for what they mean and not judged."""


def spans(text: str) -> list[tuple[int, int]]:
    """Where in ``text`` each address stands, without its name, brackets and comments. An empty one is left out."""
    found: list[tuple[int, int]] = []
    at, length = 0, len(text)
    start = end = -1  # of an address without brackets
    inner: tuple[int, int] | None = None

    def finish() -> None:
        span = inner if inner is not None else (start, end)
        if span[1] > span[0]:
            found.append(span)

    while at < length:
        character = text[at]
        if character == "(":
            at = _comment(text, at)
        elif character == '"':
            after = _quoted(text, at)
            start = at if start < 0 else start
            end = after
            at = after
        elif character == "<":
            close = _bracket(text, at + 1)
            inner = _trimmed(text, at + 1, close)
            at = close + 1
        elif character in ",;":
            finish()
            inner, start, end = None, -1, -1
            at += 1
        elif character == ":" and inner is None and not _literal(text, start, at):
            inner, start, end = None, -1, -1  # what stood before it is the name of a group
            at += 1
        else:
            if not character.isspace():
                start = at if start < 0 else start
                end = at + 1
            at += 1
    finish()
    return found


def addresses(text: str) -> list[str]:
    """The addresses themselves; a route before one (RFC 5322 §4.4) is left out."""
    found = []
    for start, end in spans(text):
        word = text[start:end]
        if word.startswith("@"):
            word = word.partition(":")[2]
        local, at, domain = word.rpartition("@")
        word = f"{local.strip()}@{domain.strip()}" if at else word
        if word:
            found.append(word)
    return found


def qualified(text: str, domain: str) -> str:
    """``text`` with ``@domain`` behind every address that has none."""
    pieces = []
    last = 0
    for start, end in spans(text):
        if lacks_domain(text[start:end]):
            pieces += [text[last:end], "@", domain]
            last = end
    return "".join([*pieces, text[last:]])


def lacks_domain(address: str) -> bool:
    """Whether this is a local part alone: one word, or one in quotes."""
    if address.startswith('"'):
        return _quoted(address, 0) == len(address)
    return bool(address) and "@" not in address and not any(character.isspace() for character in address)


def _comment(text: str, at: int) -> int:
    """The place behind the comment that begins at ``at``; comments stand in each other."""
    depth = 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if not depth:
                return at + 1
        at += 1
    return len(text)


def _quoted(text: str, at: int) -> int:
    """The place behind the quoted string that begins at ``at``."""
    at += 1
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == '"':
            return at + 1
        at += 1
    return len(text)


def _bracket(text: str, at: int) -> int:
    """Where the bracket is closed that was opened before ``at``."""
    while at < len(text) and text[at] != ">":
        at = _quoted(text, at) if text[at] == '"' else at + 1
    return min(at, len(text))


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _literal(text: str, start: int, at: int) -> bool:
    """Whether a colon at ``at`` is of an address literal: ``user@[IPv6:…]``."""
    return start >= 0 and text.rfind("[", start, at) > text.rfind("]", start, at)
