"""Writes conf/fastsmtp.toml and docs/settings.md from the settings classes, docs/metrics.md from the metrics, and the
table of events in docs/logging.md.

python -m tools.conf_sample            write them
python -m tools.conf_sample --check    only say which are out of date; exit code 1 when one is
"""

import sys
from pathlib import Path

from fastsmtp.config.docgen import reference, sample
from fastsmtp.process.settings import Settings
from tools import event_table
from tools.metrics_page import page

ROOT = Path(__file__).resolve().parent.parent

_HEAD = """\
# All settings of fastsmtp with their defaults, made from the settings classes by `make docs`.
# `fastsmtp check -c FILE` says what is wrong with a file. The reference is docs/settings.md.

"""


def documents() -> dict[str, str]:
    """Path → text of everything that is generated."""
    return {
        "conf/fastsmtp.toml": _HEAD + sample(Settings),
        "docs/settings.md": reference(Settings),
        "docs/metrics.md": page(),
        "docs/logging.md": event_table.page((ROOT / "docs/logging.md").read_text()),
    }


def outdated(root: Path) -> list[str]:
    """The generated files that differ from what would be generated."""
    return [
        name
        for name, text in documents().items()
        if not (root / name).is_file() or (root / name).read_text() != text
    ]


def main(arguments: list[str]) -> int:
    """Write or check; 1 when the check finds something."""
    if arguments == ["--check"]:
        found = outdated(ROOT)
        for name in found:
            print(f"{name} is out of date; run `make docs`")
        return 1 if found else 0
    for name, text in documents().items():
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
