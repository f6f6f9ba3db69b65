"""A name beyond ASCII means one domain, that of whoever registered it, or none."""

import pytest

from fastsmtp.idn import to_ascii


@pytest.mark.parametrize(
    ("domain", "ascii_form"),
    [
        ("bücher.test", "xn--bcher-kva.test"),
        ("BÜCHER.test.", "xn--bcher-kva.test."),
        ("mx.bu\u0308cher.test", "mx.xn--bcher-kva.test"),
        ("bücher\u3002test", "xn--bcher-kva.test"),
        ("_x.bücher.Test", "_x.xn--bcher-kva.Test"),
        ("straße.test", "xn--strae-oqa.test"),
        ("strasse.test", "strasse.test"),
        ("βόλος.test", "xn--nxasmm1c.test"),
        ("نامه\u200cای.test", "xn--mgba3gch31f060k.test"),
        ("ｅｘａｍｐｌｅ.test", "example.test"),
        ("exa\u00admple.test", "example.test"),
        ("exаmple.test", "xn--exmple-4nf.test"),
        ("Under_Score.test", "Under_Score.test"),
    ],
)
def test_what_a_name_means(domain: str, ascii_form: str) -> None:
    assert to_ascii(domain) == ascii_form


@pytest.mark.parametrize(
    "domain",
    [
        "☃.test",
        "a\u2100c.test",  # would be "aa/cc"
        "\u2488com.test",  # would be two labels
        "a\u200db.test",
        "ｅx_y.test",
        "xn--ü.test",
        "\udcff.test",
        "ü" * 60 + ".test",
        "\u0301a.test",
        "ü..test",
    ],
)
def test_what_is_no_domain(domain: str) -> None:
    with pytest.raises(ValueError, match=r"not allowed|too long|hyphens|empty|combining|start"):
        to_ascii(domain)
