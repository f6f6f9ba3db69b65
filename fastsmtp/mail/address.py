"""A mailbox as an envelope names it (RFC 5321 §4.1.2, RFC 6531 §3.3)."""


class Address:
    """``local`` without quoting, ``domain`` as given, ``text`` the address as given, without brackets.

    The null sender has all three empty; ``<postmaster>`` has no domain (RFC 5321 §4.1.1.3).
    """

    __slots__ = ("domain", "local", "text")

    def __init__(self, local: str, domain: str, text: str) -> None:
        self.local = local
        self.domain = domain
        self.text = text

    def __repr__(self) -> str:
        return f"Address({self.local!r}, {self.domain!r}, {self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and (self.local, self.domain, self.text) == (
            other.local,
            other.domain,
            other.text,
        )

    def __hash__(self) -> int:
        return hash(self.text)


NULL_SENDER = Address("", "", "")
