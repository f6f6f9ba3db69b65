"""The bar: only on a terminal, not for what is quick, and nothing is left of it."""

from io import StringIO

from fastsmtp.cli.bar import Bar


class Terminal(StringIO):
    """Says it is one."""

    def isatty(self) -> bool:
        return True


def test_it_is_drawn_after_a_moment_and_goes() -> None:
    now = [0.0]
    out = Terminal()
    bar = Bar("counting", out, lambda: now[0])
    bar.show(0.1, "1 of 10")
    assert out.getvalue() == ""
    now[0] = 1.0
    bar.show(0.5, "5 of 10")
    assert out.getvalue() == "\rcounting [##############..............]  50%  5 of 10"
    bar.show(0.6, "6 of 10")
    assert "6 of 10" not in out.getvalue(), "not so soon after the last"
    now[0] = 2.0
    bar.show(7.0, "x")
    assert out.getvalue().endswith("\rcounting [############################] 100%  x      ")
    bar.clear()
    last = out.getvalue().rpartition("\r")[0].rpartition("\r")[2]
    assert last == " " * len("counting [############################] 100%  x")
    bar.clear()
    assert out.getvalue().count("\r") == 4


def test_elsewhere_there_is_none() -> None:
    now = [0.0]
    out = StringIO()
    bar = Bar("counting", out, lambda: now[0])
    now[0] = 5.0
    bar.show(0.5, "x")
    bar.clear()
    assert out.getvalue() == ""
