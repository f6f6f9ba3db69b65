"""Plots as inline SVG, drawn from numbers alone."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 720, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 40
_COLOURS = 6


class Line(NamedTuple):
    """One line of a plot."""

    name: str
    points: Sequence[tuple[float, float]]


class Bar(NamedTuple):
    """One bar with the extent of its rounds."""

    name: str
    value: float
    lowest: float
    highest: float


class Axis(NamedTuple):
    """One axis: what it shows, and its ticks as position in data and text. A position is mapped as it is, or
    by its logarithm when ``log`` is true."""

    label: str
    ticks: Sequence[tuple[float, str]]
    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where ``value`` lies between 0 and 1."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, self.low))
        return min(max((value - low) / (high - low or 1.0), 0.0), 1.0)


def linear_axis(label: str, highest: float) -> Axis:
    """From 0 to at least ``highest``, with four to ten round steps."""
    highest = highest if highest > 0 else 1.0
    step = 10.0 ** math.floor(math.log10(highest))
    if highest / step < 5:
        step /= 5 if highest / step < 2 else 2
    number = max(math.ceil(highest / step - 1e-9), 1)
    return Axis(label, [(i * step, f"{i * step:,.10g}") for i in range(number + 1)], 0.0, number * step)


def log_axis(label: str, lowest: float, highest: float) -> Axis:
    """Whole powers of ten around ``lowest`` and ``highest``."""
    low = math.floor(math.log10(max(lowest, 1e-3)))
    high = max(math.ceil(math.log10(max(highest, 1e-3))), low + 1)
    ticks = [(10.0**power, f"{10.0**power:,.10g}") for power in range(low, high + 1)]
    return Axis(label, ticks, 10.0**low, 10.0**high, True)


def lines(title: str, across: Axis, up: Axis, drawn: Sequence[Line]) -> str:
    """A plot of lines, with a legend."""
    body = [_frame(across, up)]
    for number, line in enumerate(drawn):
        points = " ".join(f"{_x(across, x):.1f},{_y(up, y):.1f}" for x, y in line.points)
        body.append(f'<polyline class="line c{number % _COLOURS}" points="{points}"/>')
        left = LEFT + 150 * (number % 4)  # above the frame, in rows of four
        top = 14 + 16 * (number // 4)
        body.append(
            f'<rect class="fill c{number % _COLOURS}" x="{left}" y="{top - 9}" width="10" height="10"/>'
            f'<text x="{left + 15}" y="{top}">{escape(line.name)}</text>'
        )
    return _svg(title, HEIGHT, body)


def bars(title: str, across: Axis, drawn: Sequence[Bar]) -> str:
    """Horizontal bars; a whisker shows the lowest and highest round."""
    height = TOP + 44 * len(drawn) + BOTTOM
    base = height - BOTTOM
    body = []
    for value, text in across.ticks:
        x = _x(across, value)
        body.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{base}"/>')
        body.append(f'<text class="mid" x="{x:.1f}" y="{base + 16}">{text}</text>')
    for number, bar in enumerate(drawn):
        top = TOP + 44 * number
        low, high = _x(across, bar.lowest), _x(across, bar.highest)
        body.append(f'<text x="{LEFT}" y="{top + 12}">{escape(bar.name)}: {bar.value:,.0f}</text>')
        body.append(
            f'<rect class="fill c{number % _COLOURS}" x="{LEFT}" y="{top + 17}" '
            f'width="{_x(across, bar.value) - LEFT:.1f}" height="18"/>'
            f'<line class="whisker" x1="{low:.1f}" y1="{top + 26}" x2="{high:.1f}" y2="{top + 26}"/>'
        )
    body.append(f'<text class="mid" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{base + 34}">{across.label}</text>')
    return _svg(title, height, body)


def _x(axis: Axis, value: float) -> float:
    return LEFT + axis.place(value) * (WIDTH - LEFT - RIGHT)


def _y(axis: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - axis.place(value) * (HEIGHT - TOP - BOTTOM)


def _frame(across: Axis, up: Axis) -> str:
    parts = []
    for value, text in across.ticks:
        x = _x(across, value)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="mid" x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}">{text}</text>')
    for value, text in up.ticks:
        y = _y(up, value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text class="end" x="{LEFT - 6}" y="{y + 4:.1f}">{text}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text class="mid" x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}">{across.label}</text>')
    parts.append(
        f'<text class="mid" x="12" y="{middle}" transform="rotate(-90 12 {middle})">{up.label}</text>'
    )
    return "".join(parts)


def _svg(title: str, height: int, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{"".join(body)}</svg>'
    )
