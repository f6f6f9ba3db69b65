"""The check of RFC citations, on a small tree of its own."""

from pathlib import Path

import pytest

from tools.rfc_check import faults

HEAD = "number\ttitle\tstatus\twhere\n"
CITES = "# " + "RFC" + " 5321 §4.1\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "docs/rfc").mkdir(parents=True)
    (tmp_path / "fastsmtp").mkdir()
    (tmp_path / "fastsmtp/a.py").write_text("\n" + CITES)
    return tmp_path


@pytest.mark.parametrize(
    ("index", "found"),
    [
        (HEAD + "5321\tSMTP\tyes\tsmtp\n", []),
        (HEAD + "5321\tSMTP\tyes\tsmtp\n9999\tOther\tno\t\n", []),
        (HEAD, ["fastsmtp/a.py:2: RFC 5321 is not in docs/rfc/index.tsv"]),
        (
            HEAD + "5321\tSMTP\tyes\tsmtp\n5322\tFormat\tpart\tmail\n",
            ["docs/rfc/index.tsv: RFC 5322 is claimed (part) but cited nowhere"],
        ),
        (
            "5321\tSMTP\tyes\tsmtp\n" * 2,
            ["docs/rfc/index.tsv:1: expected the columns number, title, status, where"],
        ),
        (
            HEAD + "5322\tA\tno\t\n5321\tSMTP\tgood\tsmtp\nx\n5321\tSMTP\tyes\tsmtp\n",
            [
                "docs/rfc/index.tsv:3: status is one of background, no, part, planned, yes, not good",
                "docs/rfc/index.tsv:4: expected a number and 3 more cells",
                "docs/rfc/index.tsv:5: RFC 5321 stands there twice",
                "docs/rfc/index.tsv: rows are in order of their number",
            ],
        ),
    ],
)
def test_faults(tree: Path, index: str, found: list[str]) -> None:
    (tree / "docs/rfc/index.tsv").write_text(index)
    assert faults(tree) == found
