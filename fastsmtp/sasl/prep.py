"""SASLprep (RFC 4013): names and passwords as both sides compare them."""

import stringprep
import unicodedata

_PROHIBITED = (  # RFC 4013 §2.3
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
    stringprep.in_table_a1,  # RFC 4013 §2.5: no unassigned code points in what is stored
)


def saslprep(text: str) -> str:
    """``text`` prepared. Raises ValueError, without the text, when it holds what is prohibited."""
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter
        for letter in text
        if not stringprep.in_table_b1(letter)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    # Each letter once: NFKC makes eighteen of some, and a stranger may send hundreds of these.
    if any(forbidden(letter) for letter in set(prepared) for forbidden in _PROHIBITED):
        raise ValueError("a name or password holds a character that SASLprep prohibits")
    # RFC 3454 §6: with one right-to-left letter all are, and the text begins and ends with one
    if any(map(stringprep.in_table_d1, prepared)) and (
        any(map(stringprep.in_table_d2, prepared))
        or not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1]))
    ):
        raise ValueError("a name or password mixes directions of writing as SASLprep prohibits")
    return prepared
