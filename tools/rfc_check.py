"""Checks that every RFC cited in the tree stands in docs/rfc/index.tsv, and every row there is cited or not
claimed.

python -m tools.rfc_check
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INDEX = "docs/rfc/index.tsv"
COLUMNS = ("number", "title", "status", "where")
STATUS = {"yes", "part", "planned", "no", "background"}
PLACES = ("fastsmtp", "ext", "tests", "tools", "bench", "docs", "conf", "changes", "README.md")
ENDINGS = {".py", ".pyi", ".pyx", ".pxd", ".md", ".toml", ".dialog", ".html"}

_CITED = re.compile(r"\bRFC[ -]?(\d{3,5})\b")


def read_index(text: str) -> tuple[dict[int, tuple[str, ...]], list[str]]:
    """The rows by RFC number, and what is wrong with the file."""
    lines = text.splitlines()
    rows: dict[int, tuple[str, ...]] = {}
    found = []
    if not lines or tuple(lines[0].split("\t")) != COLUMNS:
        found.append(f"{INDEX}:1: expected the columns {', '.join(COLUMNS)}")
    for number, line in enumerate(lines[1:], 2):
        cells = tuple(line.split("\t"))
        if len(cells) != len(COLUMNS) or not cells[0].isdigit():
            found.append(f"{INDEX}:{number}: expected a number and {len(COLUMNS) - 1} more cells")
            continue
        if cells[2] not in STATUS:
            found.append(f"{INDEX}:{number}: status is one of {', '.join(sorted(STATUS))}, not {cells[2]}")
        if int(cells[0]) in rows:
            found.append(f"{INDEX}:{number}: RFC {cells[0]} stands there twice")
        rows[int(cells[0])] = cells
    if list(rows) != sorted(rows):
        found.append(f"{INDEX}: rows are in order of their number")
    return rows, found


def citations(root: Path) -> Iterator[tuple[str, int]]:
    """Place (``file:line``) and number of every citation below ``root``."""
    for place in PLACES:
        top = root / place
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.suffix in ENDINGS and path.is_file() and "var" not in path.relative_to(root).parts:
                for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                    for match in _CITED.finditer(line):
                        yield f"{path.relative_to(root)}:{number}", int(match[1])


def faults(root: Path) -> list[str]:
    """Every fault, one line each."""
    rows, found = read_index((root / INDEX).read_text())
    cited = list(citations(root))
    found += [f"{place}: RFC {number} is not in {INDEX}" for place, number in cited if number not in rows]
    numbers = {number for _, number in cited}
    found += [
        f"{INDEX}: RFC {number} is claimed ({cells[2]}) but cited nowhere"
        for number, cells in rows.items()
        if cells[2] in ("yes", "part") and number not in numbers
    ]
    return found


def main() -> int:
    """Print the faults; 1 when there are any."""
    found = faults(ROOT)
    print("\n".join(found) if found else "RFC citations: good")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
