"""What a look at something came to."""

from typing import Literal

from msgspec import Struct

Severity = Literal["error", "warning", "note"]
"""``error``: mail is lost, refused or exposed, or will be; ``warning``: it may be; ``note``: worth knowing."""
WEIGHT: dict[Severity, int] = {"note": 0, "warning": 1, "error": 2}


class Finding(Struct, frozen=True):
    """``area`` is the check's name, ``mend`` a command or what else to do, empty where nothing is to be done."""

    severity: Severity
    area: str
    text: str
    mend: str = ""


def exit_code(findings: list[Finding]) -> int:
    """That of the worst: 0, of warnings 1, of errors 2."""
    return max((WEIGHT[one.severity] for one in findings), default=0)
