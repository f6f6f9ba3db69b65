"""The table of RFC 5321 §4.1.4, written out once more by hand."""

from fastsmtp.smtp.states import REFUSALS, TABLE, Command, State, refusal

# h EHLO first, m MAIL first, r RCPT first, n nested, v no valid recipients, b in BDAT, d DATA after BDAT,
# t not in a transaction (RFC 3207 §4, RFC 4954 §4), . allowed
EXPECTED = {
    #               HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP QUIT STARTTLS AUTH LHLO XCLIENT
    State.START:   " .    .    h    h    h    h    .    .    .    .    .    h        h    .    .  ",
    State.READY:   " .    .    .    m    m    m    .    .    .    .    .    .        .    .    .  ",
    State.MAIL:    " .    .    n    .    r    r    .    .    .    .    .    t        t    .    t  ",
    State.REFUSED: " .    .    n    .    v    v    .    .    .    .    .    t        t    .    t  ",
    State.RCPT:    " .    .    n    .    .    .    .    .    .    .    .    t        t    .    t  ",
    State.CHUNKS:  " .    .    n    b    d    .    .    .    .    .    .    t        t    .    t  ",
}  # fmt: skip

TEXTS = {
    "h": "503 5.5.1 EHLO or HELO first",
    "m": "503 5.5.1 MAIL first",
    "r": "503 5.5.1 RCPT first",
    "n": "503 5.5.1 a sender is already given",
    "v": "554 5.5.1 no valid recipients",
    "b": "503 5.5.1 finish the chunks with BDAT LAST, or RSET",
    "t": "503 5.5.1 not in a transaction",
    "d": "503 5.5.1 DATA cannot follow BDAT",
}


def test_every_cell() -> None:
    for state, row in EXPECTED.items():
        for command, mark in zip(Command, row.split(), strict=True):
            refused = refusal(state, command)
            found = "" if refused is None else refused.wire.decode().strip()
            assert found == TEXTS.get(mark, ""), (state, command)
            cell = TABLE[state * len(Command) + command]
            assert (REFUSALS[cell - 1] if cell else None) == refused
