"""Checks the imports of every module against the table in docs/architecture.md, and that no import is
circular.

    python -m tools.layers

prints one line per fault and exits with 1 when there is one.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = "fastsmtp"
HEADING = "## Who may import whom"
ALL = "all but "

WITHOUT_IO = ("mail", "smtp")
"""Packages that know neither sockets nor time, so that a dialogue is a unit test of strings."""
IO = {"asyncio", "select", "selectors", "socket", "ssl", "threading", "time", "uvloop"}
ONLY_IN = {"lmdb": ("store", "spool"), "click": ("cli",)}
"""Libraries that only these packages may import."""

COMPILED = "ext"
"""The row of the Cython sources: they are built into ``_core`` but may know the tables they are made from."""

Table = dict[str, frozenset[str]]


def read_table(document: str) -> Table:
    """Package → packages it may import, from the Markdown table under `HEADING`."""
    _, heading, section = document.partition(HEADING)
    if not heading:
        raise ValueError(f'docs/architecture.md has no heading "{HEADING}"')
    rows: dict[str, str] = {}
    for line in section.splitlines():
        if line.startswith("## "):
            break
        cells = [cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")]
        if (
            line.startswith("|")
            and len(cells) >= 2
            and cells[0] != "package"
            and not set(cells[0]) <= set("-: ")
        ):
            rows[cells[0].partition(" ")[0]] = cells[1]
    table: Table = {}
    for package, allowed in rows.items():
        if allowed.startswith(ALL):
            table[package] = frozenset(rows) - set(allowed.removeprefix(ALL).replace(" ", "").split(","))
        else:
            table[package] = frozenset(re.findall(r"[a-z_]+", allowed))
    return table


def modules(root: Path) -> dict[str, Path]:
    """Dotted name → file of every Python module below ``root``/fastsmtp."""
    found = {}
    for path in sorted((root / NAME).rglob("*.py")):
        parts = list(path.relative_to(root).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def package_of(module: str) -> str:
    """The package (or single module) below fastsmtp that ``module`` belongs to; "" for fastsmtp itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def imports_of(module: str, path: Path, known: dict[str, Path]) -> Iterator[tuple[int, str, bool]]:
    """Line and dotted name of everything ``module`` imports, also inside functions, and whether the import is
    for type checkers only."""
    tree = ast.parse(path.read_text(), str(path))
    for_types = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for line in block.body
        for node in ast.walk(line)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) in for_types
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                keep = len(parts) - node.level + (path.name == "__init__.py")
                base = ".".join([*parts[:keep], *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield node.lineno, full if full in known or base == NAME else base, id(node) in for_types


def compiled_imports(path: Path) -> Iterator[tuple[int, str]]:
    """The same for a Cython source, which `ast` does not read."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r"\s*(?:from|c?import)\s+([A-Za-z_][\w.]*)", line)
        if match:
            yield number, match[1]


def faults(root: Path) -> list[str]:
    """Every fault in the tree at ``root``, one line each."""
    table = read_table((root / "docs/architecture.md").read_text())
    known = modules(root)
    found: list[str] = []
    edges: dict[str, set[str]] = {name: set() for name in known}
    used: dict[str, set[str]] = {package: set() for package in table}
    for name, path in known.items():
        for line, target, for_types in imports_of(name, path, known):
            if target in known and target != name and not for_types:
                edges[name].add(target)
            found += _judge(f"{path.relative_to(root)}:{line}", package_of(name), target, table)
            used.setdefault(package_of(name), set()).add(_ours(target))
    for path in sorted((root / "ext").rglob("*.p[yx][xd]")):
        for line, target in compiled_imports(path):
            found += _judge(f"{path.relative_to(root)}:{line}", COMPILED, target, table)
            used[COMPILED].add(_ours(target))
    packages = {package_of(name) for name in known} - {"", "__main__"}
    found += [f"docs/architecture.md: {name} has no row" for name in sorted(packages - set(table))]
    found += [
        f"docs/architecture.md: {name} is not on disk" for name in sorted(set(table) - packages - {COMPILED})
    ]
    found += [
        f"docs/architecture.md: {name} does not import {other}: take it out of the row"
        for name, allowed in table.items()
        if name in {*packages, COMPILED}
        and name not in allowed  # only a row of "all but" holds its own name, and that one asks for nothing
        for other in sorted(allowed - used[name])
    ]
    cycle = find_cycle(edges)
    if cycle:
        found.append("circular import: " + " -> ".join(cycle))
    return found


def _judge(where: str, package: str, target: str, table: Table) -> Iterator[str]:
    package = "cli" if package == "__main__" else package
    top, _, _ = target.partition(".")
    other = package_of(target)
    if top == NAME:
        if package == "" and other:
            yield f"{where}: fastsmtp itself imports nothing of it"
        elif (
            other and other != package and other not in table.get(package, frozenset()) and "__" not in other
        ):
            yield f"{where}: {package} may not import {other}"
    elif package in WITHOUT_IO and top in IO:
        yield f"{where}: {package} does no I/O and may not import {top}"
    elif top in ONLY_IN and package not in ONLY_IN[top]:
        yield f"{where}: only {' and '.join(ONLY_IN[top])} may import {top}"


def _ours(target: str) -> str:
    """The package of ``target`` when it is one of fastsmtp's, else ""."""
    return package_of(target) if target.partition(".")[0] == NAME else ""


def find_cycle(edges: dict[str, set[str]]) -> list[str]:
    """One cycle of the graph, its first module again at its end; empty when there is none."""
    done: set[str] = set()
    for start in sorted(edges):
        trail: list[str] = []
        stack: list[tuple[str, Iterator[str]]] = []
        if start in done:
            continue
        trail.append(start)
        stack.append((start, iter(sorted(edges[start]))))
        while stack:
            node, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                trail.pop()
                done.add(node)
            elif following in trail:
                return [*trail[trail.index(following) :], following]
            elif following not in done:
                trail.append(following)
                stack.append((following, iter(sorted(edges[following]))))
    return []


def main() -> int:
    """Print the faults; 1 when there are any."""
    found = faults(ROOT)
    print("\n".join(found) if found else "layers: good")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
