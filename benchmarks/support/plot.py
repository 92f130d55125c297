"""A small SVG writer: horizontal bars in groups, and lines over time."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

COLOURS = ("#1f5fbf", "#d9822b", "#2b9a66", "#8e4ec6", "#c0392b", "#5b6b7a", "#b59a00", "#0f9bb5", "#7a4b2a")
WIDTH, LABELS, RIGHT = 820, 240, 90
BAR, GAP, TITLE, LEGEND = 16, 10, 34, 22
CHART_HEIGHT = 200
TICKS = 4
_STYLE = "font-family='system-ui, sans-serif' font-size='12'"

Groups = Mapping[str, Mapping[str, float]]
"""Row -> series -> value."""
Line = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Chart:
    """A piece of SVG and its height; charts are stacked by `document`."""

    height: float
    body: str


def document(*charts: Chart) -> str:
    """Return the text of an SVG file with the charts below each other."""
    parts, top = [], 0.0
    for chart in charts:
        parts.append(f"<g transform='translate(0,{top:g})'>{chart.body}</g>")
        top += chart.height
    size = f"viewBox='0 0 {WIDTH} {top:g}' width='{WIDTH}' height='{top:g}'"
    background = f"<rect width='{WIDTH}' height='{top:g}' fill='white'/>"
    return f"<svg xmlns='http://www.w3.org/2000/svg' {size} {_STYLE}>{background}{''.join(parts)}</svg>\n"


def bars(title: str, groups: Groups, log: bool = False) -> Chart:
    """Return a chart with one bar per value. `log` = logarithmic lengths, from 1."""
    series = _names(groups.values())
    longest = max((value for group in groups.values() for value in group.values()), default=1.0)
    body, top = [_title(title), _legend(series) if len(series) > 1 else ""], float(TITLE)
    top += LEGEND if len(series) > 1 else 0
    for label, group in groups.items():
        middle = top + len(group) * BAR / 2
        body.append(_text(LABELS - 8, middle + 4, label, "end"))
        for name, value in group.items():
            body.append(_bar(top, _share(value, longest, log), value, COLOURS[series.index(name) % len(COLOURS)]))
            top += BAR
        top += GAP
    return Chart(top + GAP, "".join(body))


def lines(title: str, unit: str, series: Mapping[str, Line]) -> Chart:
    """Return a chart of lines over x; the y-axis begins at 0."""
    points = [point for line in series.values() for point in line]
    right, high = (_round_up(max((point[axis] for point in points), default=1.0)) for axis in (0, 1))
    top = TITLE + LEGEND
    body = [_title(title), _legend(list(series)), _axes(top, right, high, unit)]
    for number, line in enumerate(series.values()):
        path = " ".join(f"{_x(x, right):.1f},{_y(y, high, top):.1f}" for x, y in line)
        colour = COLOURS[number % len(COLOURS)]
        body.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='1.5'/>")
    return Chart(top + CHART_HEIGHT + 3 * GAP, "".join(body))


def _round_up(value: float) -> float:
    """Round up to a number whose quarters have few digits."""
    power = 10.0 ** math.floor(math.log10(value)) if value > 0 else 0.25
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10) if step * power >= value)


def _names(groups: Iterable[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))


def _share(value: float, longest: float, log: bool) -> float:
    if log:
        return math.log(max(value, 1.0)) / math.log(max(longest, math.e))
    return value / longest if longest else 0.0


def _bar(top: float, share: float, value: float, colour: str) -> str:
    length = max(1.0, share * (WIDTH - LABELS - RIGHT))
    shape = f"<rect x='{LABELS}' y='{top:g}' width='{length:.1f}' height='{BAR - 2}' fill='{colour}'/>"
    return shape + _text(LABELS + length + 5, top + BAR - 5, number(value))


def _axes(top: float, right: float, high: float, unit: str) -> str:
    body = []
    for tick in range(TICKS + 1):
        at = _y(high * tick / TICKS, high, top)
        body.append(f"<line x1='{LABELS}' x2='{WIDTH - RIGHT}' y1='{at:.1f}' y2='{at:.1f}' stroke='#ddd'/>")
        body.append(_text(LABELS - 8, at + 4, number(high * tick / TICKS), "end"))
        x = right * tick / TICKS
        body.append(_text(_x(x, right), top + CHART_HEIGHT + 16, f"{number(x)} {unit}", "middle"))
    return "".join(body)


def _x(x: float, right: float) -> float:
    return LABELS + x / right * (WIDTH - LABELS - RIGHT)


def _y(y: float, high: float, top: float) -> float:
    return top + CHART_HEIGHT * (1 - y / high)


def _legend(series: Sequence[str]) -> str:
    body, left = [], float(LABELS)
    for place, name in enumerate(series):
        body.append(f"<rect x='{left:g}' y='{TITLE - 8}' width='10' height='10' fill='{COLOURS[place % 9]}'/>")
        body.append(_text(left + 14, TITLE + 1, name))
        left += 14 + 7 * len(name) + 14
    return "".join(body)


def _title(title: str) -> str:
    return f"<text x='10' y='18' font-weight='600'>{escape(title)}</text>"


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}'>{escape(text)}</text>"


def number(value: float) -> str:
    """Format a number with three digits, or with all digits before the point."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
