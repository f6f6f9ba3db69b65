"""The report as a page: well-formed, self-contained, with the right figures."""

from xml.etree import ElementTree

import msgspec

from fastsmtp.loadgen import report
from fastsmtp.loadgen.html import to_html
from fastsmtp.loadgen.report import round_of
from fastsmtp.loadgen.tally import Tally
from tests.unit.test_loadgen_report import sample

SVG = "{http://www.w3.org/2000/svg}"


def page(text: str) -> ElementTree.Element:
    """The page, read as XML."""
    return ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))


def test_the_page_is_well_formed_and_fetches_nothing() -> None:
    text = to_html(sample())
    root = page(text)
    assert root.tag == "html"
    for element in root.iter():
        assert element.tag not in ("script", "link", "img", "iframe")
        assert not {"src", "href"} & set(element.attrib)
    assert "url(" not in text
    assert "@import" not in text


def test_figures_and_facts_stand_in_the_page() -> None:
    text = "\n".join(page(to_html(sample())).itertext())
    for wanted in (
        "fast",
        "slow",
        "150",
        "0.50",
        "full (stated by the caller)",
        "<a cpu>",
        "fastsmtp bench 'a&b'",
    ):
        assert wanted in text
    assert "rcpt: 550 5.1.1 <no> & never" in text
    assert "TLSv1.3, resumed" in text


def test_each_plot_shows_each_target() -> None:
    plots = page(to_html(sample())).findall(f".//{SVG}svg")
    assert len(plots) == 3
    bars, throughput, latency = plots
    assert len(bars.findall(f".//{SVG}rect")) == 2
    assert len(throughput.findall(f".//{SVG}polyline")) == 2
    assert len(latency.findall(f".//{SVG}polyline")) == 2
    widths = [float(bar.attrib["width"]) for bar in bars.findall(f".//{SVG}rect")]
    assert abs(widths[0] / widths[1] - 2.0) < 0.01


def test_what_is_drawn_stays_within_the_plot() -> None:
    for plot in page(to_html(sample())).findall(f".//{SVG}svg"):
        _, _, width, height = map(float, plot.attrib["viewBox"].split())
        for line in plot.findall(f".//{SVG}polyline"):
            for point in line.attrib["points"].split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= width
                assert 0 <= y <= height


def test_a_run_without_any_message_still_makes_a_page() -> None:
    targets = report.results([("none", "127.0.0.1:1", [round_of(Tally())])])
    page(to_html(msgspec.structs.replace(sample(), targets=targets)))
