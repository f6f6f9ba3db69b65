"""Domain names beyond ASCII as the DNS has them: A-labels by IDNA 2008, the way browsers read a name.

The standard library knows IDNA 2003 alone, by which mail for straße.example goes to strasse.example, which may belong
to somebody else: docs/decisions/0013-idna.md.
"""

import re

import idna

_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # UTS #46 §2.3


def to_ascii(domain: str) -> str:
    """``domain`` with each label beyond ASCII as an A-label (RFC 5890 §2.3.2.1), mapped before by UTS #46,
    nontransitional; the others are left as they are. Raises ValueError for what is no domain name by IDNA 2008."""
    if domain.isascii():
        return domain
    labels = _DOTS.split(domain)
    if "" in labels[:-1]:
        raise ValueError("an empty label")
    return ".".join(label if label.isascii() else _label(label) for label in labels)


def _label(label: str) -> str:
    return idna.encode(label, uts46=True, std3_rules=True).decode("ascii")
