"""Small SVG charts as pure functions: bars, histogram, lines; every text escaped, every chart with a text alternative.

Labels stand above their bars, so that a chart stays readable 330 pixels wide. Colours are CSS variables of the page
(`--ink`, `--quiet`, `--line`, `--accent`) with fallbacks; `stand_alone` makes a file that is served as an image.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.etree import ElementTree

from markupsafe import Markup, escape

from mlpipe_dagster.reports.texts import texts
from mlpipe_dagster.reports.wording import number_text, printable, shortened, text_width
from mlpipe_dagster.tables.profile import HistogramBin

WIDTH = 360
FONT = 12.5
_SMALL = 11.0
_LINE = 13.0
_MOST_BESIDE = 112.0
"""Pixels that the names of lines may take from a chart; longer ones stand above it."""
_ROW = 37
_SVG_NAMESPACE = "http://www.w3.org/2000/svg"
_FONT_FAMILY = "system-ui, -apple-system, &quot;Segoe UI&quot;, Roboto, &quot;Noto Sans&quot;, sans-serif"
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 5")


@dataclass(frozen=True)
class Bar:
    """One labelled value; `low` and `high` are the ends of its interval, `text` replaces the written value."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    text: str | None = None
    quiet: bool = False
    """Drawn in grey, so that another bar stands out."""


@dataclass(frozen=True)
class Line:
    """A series of (x, y) points in the order of x; `marked` draws the points too, `faint` is one of many behind."""

    label: str
    points: tuple[tuple[float, float], ...]
    marked: bool = False
    faint: bool = False
    spans: tuple[tuple[float, float], ...] = ()
    """Low and high end of each point's interval."""


def bar_chart(
    bars: Sequence[Bar], *, title: str, unit: str = "", reference: float | None = None, reference_label: str = ""
) -> Markup:
    """Horizontal bars from zero, negative ones to the left in grey; whiskers where a bar has an interval.

    `reference` is a dashed line; `unit` is written after every value. Bars that are not finite are written as such.
    """
    ends = [end for bar in bars for end in (bar.value, bar.low, bar.high) if end is not None and math.isfinite(end)]
    scale = linear(min(0.0, *ends, reference or 0.0), max(0.0, *ends, reference or 0.0), 2.0, WIDTH - 2.0)
    height = len(bars) * _ROW + (18 if reference is not None and reference_label else 2)
    parts = [_bar(bar, index * _ROW, scale, unit) for index, bar in enumerate(bars)]
    parts.append(_verticals(scale(0.0), len(bars), "var(--quiet, #525c66)", ""))
    if reference is not None:
        parts.append(_verticals(scale(reference), len(bars), "var(--ink, #1b2026)", "3 2"))
        parts.append(_anchored(reference_label, scale(reference), height - 4))
    said = [f"{bar.label}: {_value_text(bar, unit)}{_interval_text(bar)}" for bar in bars]
    return drawing(height, title, "; ".join(said) + ".", parts)


def histogram(
    bins: Sequence[HistogramBin], *, title: str, unit: str = "", written: Callable[[float], str] = number_text
) -> Markup:
    """Adjoining columns, one for each bin, as wide as its range; the axis names the ends and the highest count."""
    if not bins:
        return drawing(20, title, texts().plain("charts.no_values"), [_anchored("-", 30.0, 14)])
    top, floor = 18.0, 118.0
    lower, upper, most = bins[0].lower, bins[-1].upper, max(bin_.count for bin_ in bins)
    x, y = linear(lower, upper, 2.0, WIDTH - 2.0), linear(0.0, float(most), floor, top)
    parts = [_column(bin_, x, y, written) for bin_ in bins]
    parts.append(_horizontal(floor, "var(--quiet, #525c66)"))
    highest = texts().plain("charts.highest", rows=texts().count("rows", most))
    parts.append(text_at(highest, 2, 12, "var(--quiet, #525c66)", size=_SMALL))
    for value in sorted({lower, (lower + upper) / 2, upper}):
        parts.append(_anchored(f"{written(value)}{unit}", x(value), floor + 15))
    fullest = max(bins, key=lambda bin_: bin_.count)
    said = texts().plain(
        "charts.histogram",
        low=f"{written(lower)}{unit}",
        high=f"{written(upper)}{unit}",
        rows=texts().count("rows", most),
        first=written(fullest.lower),
        last=f"{written(fullest.upper)}{unit}",
    )
    return drawing(int(floor) + 22, title, said, parts)


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    diagonal: bool = False,
    written: Callable[[float], str] = number_text,
) -> Markup:
    """Lines told apart by dashes; of several each is named at its end, or in a legend above where names are long.

    `diagonal` adds y = x for comparison; `written` is how the values of x are written.
    """
    points = [point for line in lines for point in line.points if math.isfinite(point[0]) and math.isfinite(point[1])]
    if not points:
        return drawing(20, title, texts().plain("charts.no_values"), [_anchored("-", 30.0, 14)])
    named = [line for line in lines if not line.faint]
    head = 18.0 if y_label else 4.0
    widest = max(text_width(line.label, _SMALL) for line in named) if len(named) > 1 else 0.0
    beside = 0.0 < widest <= _MOST_BESIDE
    right = WIDTH - 6.0 - (widest + 8.0 if beside else 0.0)
    top = head + 4.0 + (0.0 if beside or not widest else 16.0 * len(named))
    floor = top + 130.0
    heights = [y for _, y in points] + [end for line in lines for span in line.spans for end in span]
    ticks = _ticks(min(heights), max(heights))
    left = 8.0 + max(text_width(number_text(tick), _SMALL) for tick in ticks)
    x = linear(min(x for x, _ in points), max(x for x, _ in points), left, right)
    y = linear(ticks[0], ticks[-1], floor, top)
    parts = [text_at(y_label, 2, 12, "var(--quiet, #525c66)", size=_SMALL)]
    parts += [_tick(tick, y(tick), left) for tick in ticks]
    parts += [_anchored(written(value), x(value), floor + 15) for value in _x_ticks(points)]
    parts.append(_anchored(shortened(x_label, right - left, _SMALL), (left + right) / 2, floor + 30))
    if diagonal:
        places = [at for at, _ in points]
        ends = (max(min(places), ticks[0]), min(max(places), ticks[-1]))
        parts.append(_path([(x(end), y(end)) for end in ends], "var(--quiet, #525c66)", "2 4"))
    parts += [_faint(line, x, y) for line in lines if line.faint]
    for index, line in enumerate(named):
        parts += _line(line, index, x, y)
        parts += _legend(line, index, head + 10.0) if widest and not beside else []
    parts += _names_beside(named, right + 8.0, y, floor) if beside else []
    said = " ".join(_line_said(line, y_label) for line in named)
    return drawing(int(floor) + (36 if x_label else 20), title, said, parts)


def stand_alone(svg: str) -> str:
    """`svg` as a file of its own (image/svg+xml): its title written above it, on a light panel with a border.

    The panel makes it readable on white and on dark surroundings alike, whichever theme the viewer has.
    """
    root = ElementTree.fromstring(svg)  # noqa: S314 - drawn by this module
    title = root.findtext(f"{{{_SVG_NAMESPACE}}}title") or ""
    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    outer, full = width + 28, height + 50
    inner = str(svg).replace("<svg ", f'<svg x="14" y="38" width="{width:g}" height="{height:g}" ', 1)
    heading = text_at(shortened(title, width, 14), 14, 24, size=14, weight=600)
    return (
        f'<svg xmlns="{_SVG_NAMESPACE}" viewBox="0 0 {outer:g} {full:g}" width="{outer * 1.25:g}" '
        f'height="{full * 1.25:g}" font-family="{_FONT_FAMILY}">'
        f'<rect x=".5" y=".5" width="{outer - 1:g}" height="{full - 1:g}" rx="6" fill="#ffffff" stroke="#cdd4db"/>'
        f"{heading}{inner}</svg>"
    )


def drawing(height: int, title: str, said: str, parts: Sequence[str]) -> Markup:
    return Markup(  # noqa: S704 - every text in it went through `_escaped`
        f'<svg xmlns="{_SVG_NAMESPACE}" class="chart" viewBox="0 0 {WIDTH} {max(height, 20)}" role="img" '
        f'aria-label="{escaped(f"{title}. {said}")}" font-family="{_FONT_FAMILY}" font-size="{FONT}">'
        f"<title>{escaped(title)}</title><desc>{escaped(said)}</desc>{''.join(parts)}</svg>"
    )


def escaped(text: str) -> str:
    return str(escape(printable(text)))


def linear(low: float, high: float, start: float, stop: float) -> Callable[[float], float]:
    """Linear map of [low, high] to pixels; a single value lands in the middle."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return lambda _: (start + stop) / 2
    return lambda value: start + (value - low) / span * (stop - start)


def text_at(
    text: str,
    x: float,
    y: float,
    colour: str = "var(--ink, #1b2026)",
    *,
    anchor: str = "start",
    size: float = FONT,
    weight: int = 400,
    axis: bool = False,
) -> str:
    if not text:
        return ""
    kind = 'class="axis" ' if axis else ""
    return (
        f'<text {kind}x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" font-size="{size:g}" '
        f'font-weight="{weight}">{escaped(text)}</text>'
    )


def _anchored(text: str, x: float, y: float) -> str:
    """Small grey text centred on x, but never over the edge of the drawing."""
    half = text_width(text, _SMALL) / 2
    anchor, at = "middle", x
    if x - half < 2:
        anchor, at = "start", 2.0
    elif x + half > WIDTH - 2:
        anchor, at = "end", WIDTH - 2.0
    return text_at(text, at, y, "var(--quiet, #525c66)", anchor=anchor, size=_SMALL, axis=True)


def _value_text(bar: Bar, unit: str) -> str:
    return bar.text if bar.text is not None else f"{number_text(bar.value)}{unit}"


def _interval_text(bar: Bar) -> str:
    if bar.low is None or bar.high is None:
        return ""
    return " " + texts().plain("charts.interval", low=number_text(bar.low), high=number_text(bar.high))


def _bar(bar: Bar, top: float, scale: Callable[[float], float], unit: str) -> str:
    value = _value_text(bar, unit)
    label = shortened(bar.label, WIDTH - 12 - text_width(value, FONT), FONT)
    drawn = f"<g><title>{escaped(f'{bar.label}: {value}{_interval_text(bar)}')}</title>"
    drawn += text_at(label, 2, top + 13) + text_at(value, WIDTH - 2, top + 13, anchor="end", weight=600)
    if math.isfinite(bar.value):
        start, stop = sorted((scale(0.0), scale(bar.value)))
        plain = bar.value >= 0 and not bar.quiet
        colour = (
            "var(--accent, #0b6b70)" if plain else "var(--faint, #8b95a0)" if bar.quiet else "var(--quiet, #525c66)"
        )
        drawn += f'<rect x="{start:.1f}" y="{top + 19:.1f}" width="{stop - start:.1f}" height="10" fill="{colour}"/>'
    if bar.low is not None and bar.high is not None and math.isfinite(bar.low) and math.isfinite(bar.high):
        drawn += _whisker(scale(bar.low), scale(bar.high), top + 24)
    return drawn + "</g>"


def _whisker(low: float, high: float, y: float) -> str:
    """An interval: drawn twice, wide in the page's colour and thin in ink, so that it shows on and beside the bar."""
    path = f"M{low:.1f} {y - 4:.1f}v8M{low:.1f} {y:.1f}H{high:.1f}M{high:.1f} {y - 4:.1f}v8"
    strokes = (("var(--page, #ffffff)", 3.6), ("var(--ink, #1b2026)", 1.4))
    return "".join(f'<path d="{path}" stroke="{colour}" stroke-width="{width}"/>' for colour, width in strokes)


def _verticals(x: float, rows: int, colour: str, dashes: str) -> str:
    """A line at `x` through every bar, interrupted where the labels stand."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    path = "".join(f"M{x:.1f} {row * _ROW + 17}v14" for row in range(rows))
    return f'<path d="{path}" stroke="{colour}"{dashed}/>'


def _horizontal(y: float, colour: str, left: float = 2.0) -> str:
    return f'<path d="M{left:.1f} {y:.1f}H{WIDTH - 2}" stroke="{colour}"/>'


def _column(
    held: HistogramBin, x: Callable[[float], float], y: Callable[[float], float], written: Callable[[float], str]
) -> str:
    left, width = x(held.lower), max(x(held.upper) - x(held.lower) - 1.0, 0.8)
    span = texts().plain("cells.to", low=written(held.lower), high=written(held.upper))
    said = f"{span}: {texts().count('rows', held.count)}"
    return (
        f'<rect x="{left:.1f}" y="{y(held.count):.1f}" width="{width:.1f}" height="{y(0.0) - y(held.count):.1f}" '
        f'fill="var(--accent, #0b6b70)"><title>{escaped(said)}</title></rect>'
    )


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers that enclose [low, high]."""
    if high - low <= max(abs(high), abs(low), 1e-12) * 1e-9:
        pad = abs(high) * 0.1 or 1.0
        low, high = low - pad, high + pad
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough)
    first = math.floor(low / step)
    return [index * step for index in range(first, math.ceil(high / step) + 1)]


def _x_ticks(points: Sequence[tuple[float, float]]) -> list[float]:
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    return sorted({low, (low + high) / 2, high})


def _tick(value: float, y: float, left: float) -> str:
    label = text_at(number_text(value), left - 5, y + 4, "var(--quiet, #525c66)", anchor="end", size=_SMALL, axis=True)
    return _horizontal(y, "var(--line, #cdd4db)", left) + label


def _path(points: Sequence[tuple[float, float]], colour: str, dashes: str) -> str:
    drawn = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="{drawn}" fill="none" stroke="{colour}" stroke-width="2"{dashed} stroke-linejoin="round"/>'


def _stroke(index: int) -> tuple[str, str]:
    """Colour and dashes of the line of that number."""
    colour = "var(--accent, #0b6b70)" if index % 2 == 0 else "var(--ink, #1b2026)"
    return colour, _DASHES[index % len(_DASHES)]


def _line(line: Line, index: int, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    colour, dashes = _stroke(index)
    placed = [(x(at), y(value)) for at, value in line.points if math.isfinite(at) and math.isfinite(value)]
    parts = [_path(placed, colour, dashes)] if len(placed) > 1 else []
    for (at, _), (low, high) in zip(line.points, line.spans, strict=False):
        parts.append(f'<path d="M{x(at):.1f} {y(low):.1f}V{y(high):.1f}" stroke="{colour}" stroke-width="1.2"/>')
    if line.marked or len(placed) == 1:
        parts += [f'<circle cx="{left:.1f}" cy="{top:.1f}" r="2.6" fill="{colour}"/>' for left, top in placed]
    return parts


def _faint(line: Line, x: Callable[[float], float], y: Callable[[float], float]) -> str:
    path = "M" + "L".join(f"{x(at):.1f} {y(value):.1f}" for at, value in line.points)
    return f'<path d="{path}" fill="none" stroke="var(--line, #cdd4db)" stroke-width=".8"/>'


def _names_beside(lines: Sequence[Line], left: float, y: Callable[[float], float], floor: float) -> list[str]:
    """The name of each line at the height of its end, moved down or up where two would touch."""
    heights = {index: y(line.points[-1][1]) + 4 for index, line in enumerate(lines) if line.points}
    order = sorted(heights, key=lambda index: heights[index])
    for above, below in pairwise(order):
        heights[below] = max(heights[below], heights[above] + _LINE)
    lowest = floor + 4
    for index in reversed(order):
        heights[index] = lowest = min(heights[index], lowest)
        lowest -= _LINE
    return [text_at(lines[index].label, left, heights[index], _stroke(index)[0], size=_SMALL) for index in order]


def _legend(line: Line, index: int, top: float) -> list[str]:
    row = top + 16.0 * index
    label = text_at(shortened(line.label, WIDTH - 40, _SMALL), 36, row, size=_SMALL)
    return [_path([(2.0, row - 4), (30.0, row - 4)], *_stroke(index)), label]


def _line_said(line: Line, y_label: str) -> str:
    ys = [value for _, value in line.points]
    turns = sum(1 for before, after in pairwise(ys) if after != before)
    of = f"{line.label} ({y_label})" if y_label else line.label
    if not ys or not turns:
        return texts().plain("charts.constant", line=line.label)
    ends = {"first": ys[0], "last": ys[-1], "low": min(ys), "high": max(ys)}
    return texts().plain("charts.line", line=of, **{name: number_text(end) for name, end in ends.items()})
