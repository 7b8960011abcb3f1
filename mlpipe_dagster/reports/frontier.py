"""What a fairness constraint costs: the picture of accuracy against difference, and before and after as a table.

For the model's own page and its explanations; what is shown was measured in the training (`automl/constrained.py`).
"""

from collections.abc import Callable, Iterator

from markupsafe import Markup

from mlpipe_dagster.automl.fairness.frontier import Frontier, FrontierPoint, Measured
from mlpipe_dagster.reports.charts import WIDTH, drawing, escaped, linear, text_at
from mlpipe_dagster.reports.model_tables import head, percent_span, span
from mlpipe_dagster.reports.texts import texts
from mlpipe_dagster.reports.wording import number_text, percent_text, text_width

_INK, _QUIET, _ACCENT = "var(--ink, #1b2026)", "var(--quiet, #525c66)", "var(--accent, #0b6b70)"
_LINE, _PAGE = "var(--line, #cdd4db)", "var(--page, #ffffff)"
_SMALL = 11.0
_LEFT, _RIGHT, _TOP, _FLOOR = 46.0, WIDTH - 8.0, 34.0, 178.0
Scale = Callable[[float], float]


def frontier_part(frontier: Frontier | None) -> dict[str, object]:
    """What templates show of a constraint; empty where there is none, or nothing was measured."""
    if frontier is None or not frontier.points:
        return {}
    t = texts()
    constraint = t.said(frontier.constraint.title)
    return {
        "said": t(f"details.frontier_{'met' if frontier.met else 'unmet'}", constraint=constraint),
        "chart": frontier_chart(frontier),
        "head": head("what", "#largest_difference", "#interval", "#accuracy", "#interval", "where_apart"),
        "rows": list(_rows(frontier)),
    }


def _rows(frontier: Frontier) -> Iterator[tuple[str, ...]]:
    t = texts()
    for rows, without, kept in (
        ("validation", frontier.unconstrained, frontier.chosen),
        ("test", frontier.test_without, frontier.test_with),
    ):
        for key, measured in (("without", without), ("with", kept)):
            if measured is not None:
                yield _row(t.plain(f"details.frontier_{key}", rows=t.plain(f"details.frontier_{rows}")), measured)


def _row(name: str, measured: Measured) -> tuple[str, ...]:
    apart, right = measured.difference, measured.accuracy
    rate = texts().sentences.get(f"group_values.{apart.rate}", apart.rate)
    where = {"rate": rate, "column": apart.column, "highest": apart.highest, "lowest": apart.lowest}
    return (
        name,
        number_text(apart.value),
        span(apart.low, apart.high),
        percent_text(right.value),
        percent_span(right.low, right.high),
        texts().plain("details.frontier_where", **where),
    )


def frontier_chart(frontier: Frontier) -> Markup:
    """Every model that was tried by its largest difference (across) and its share of right answers (up).

    Models that are further apart than the one without the constraint are left out: prices may overshoot.
    """
    t, allowed = texts(), frontier.constraint.allowed
    first, chosen = frontier.unconstrained, frontier.chosen
    if first is None or chosen is None:
        raise ValueError("a frontier without points is not drawn")
    widest = max(first.difference.value, chosen.difference.value, allowed)
    points = [point for point in frontier.points if point.difference.value <= widest]
    marked = [first] if chosen is first else [first, chosen]
    x = linear(0.0, max([widest, *(point.difference.high for point in marked)]), _LEFT, _RIGHT)
    low = min([*(point.accuracy.value for point in points), *(point.accuracy.low for point in marked)])
    high = max(point.accuracy.high for point in marked)
    y = linear(low, high, _FLOOR, _TOP)
    parts = [
        text_at(t.plain("charts.frontier_y"), 2, 12, _QUIET, size=_SMALL),
        *_axes(x, y, low, high, widest),
        *_allowed(x(allowed), t.plain("charts.frontier_allowed", allowed=number_text(allowed))),
        _line(sorted((p for p in points if not p.dominated), key=lambda p: p.difference.value), x, y),
        *(_cross(point, x, y, _ACCENT if point is chosen else _INK) for point in marked),
        *(_dot(point, x, y) for point in points),
        *_names(first, chosen, points, x, y),
    ]
    said = {
        "count": number_text(len(frontier.points)),
        "first": percent_text(first.accuracy.value),
        "apart": number_text(first.difference.value),
        "right": percent_text(chosen.accuracy.value),
        "alike": number_text(chosen.difference.value),
        "allowed": number_text(allowed),
    }
    return drawing(int(_FLOOR) + 38, t.plain("charts.frontier_title"), t.plain("charts.frontier_said", **said), parts)


def _axes(x: Scale, y: Scale, low: float, high: float, widest: float) -> Iterator[str]:
    for share in (low, (low + high) / 2, high):
        yield f'<path d="M{_LEFT} {y(share):.1f}H{_RIGHT}" stroke="{_LINE}"/>'
        yield text_at(percent_text(share), _LEFT - 5, y(share) + 4, _QUIET, anchor="end", size=_SMALL, axis=True)
    for value in (0.0, widest):
        yield text_at(number_text(value, 2), x(value), _FLOOR + 15, _QUIET, anchor="middle", size=_SMALL, axis=True)
    yield text_at(
        texts().plain("charts.frontier_x"), (_LEFT + _RIGHT) / 2, _FLOOR + 32, _QUIET, anchor="middle", size=_SMALL
    )


def _allowed(x: float, name: str) -> tuple[str, str]:
    """The allowed difference as a line: what is left of it is alike enough."""
    anchor, at = ("start", x - 4) if x + text_width(name, _SMALL) < WIDTH - 2 else ("end", x)
    line = (
        f'<path d="M{x:.1f} {_TOP - 6:.1f}V{_FLOOR:.1f}" stroke="{_QUIET}" stroke-width="1.4" stroke-dasharray="4 3"/>'
    )
    return line, text_at(name, at, _TOP - 10, _QUIET, anchor=anchor, size=_SMALL)


def _line(points: list[FrontierPoint], x: Scale, y: Scale) -> str:
    path = "L".join(f"{x(point.difference.value):.1f} {y(point.accuracy.value):.1f}" for point in points)
    return f'<path d="M{path}" fill="none" stroke="{_QUIET}" stroke-width="1.6" stroke-linejoin="round"/>'


def _cross(point: FrontierPoint, x: Scale, y: Scale, colour: str) -> str:
    apart, right = point.difference, point.accuracy
    across = f"M{x(apart.low):.1f} {y(right.value):.1f}H{x(apart.high):.1f}"
    up = f"M{x(apart.value):.1f} {y(right.low):.1f}V{y(right.high):.1f}"
    return f'<path d="{across}{up}" stroke="{colour}" stroke-width="1" opacity=".55"/>'


def _dot(point: FrontierPoint, x: Scale, y: Scale) -> str:
    colour = _ACCENT if point.chosen else _INK
    said = texts().plain(
        "charts.frontier_point",
        accuracy=percent_text(point.accuracy.value),
        difference=number_text(point.difference.value),
        low=number_text(point.difference.low),
        high=number_text(point.difference.high),
    )
    return (
        f'<circle cx="{x(point.difference.value):.1f}" cy="{y(point.accuracy.value):.1f}" '
        f'r="{5 if point.chosen else 3.4}" stroke="{colour}" stroke-width="1.6" '
        f'fill="{_PAGE if point.dominated and not point.chosen else colour}"><title>{escaped(said)}</title></circle>'
    )


def _names(
    first: FrontierPoint, chosen: FrontierPoint, points: list[FrontierPoint], x: Scale, y: Scale
) -> Iterator[str]:
    named = [(chosen, "frontier_taken", _ACCENT, (15.0, -8.0))]
    if first is not chosen:
        named.append((first, "frontier_first", _INK, (-8.0, 15.0)))
    dots = [(x(point.difference.value), y(point.accuracy.value)) for point in points]
    for point, key, colour, heights in named:
        name = texts().plain(f"charts.{key}")
        at = (x(point.difference.value), y(point.accuracy.value))
        side, height = _freest(at, text_width(name, _SMALL), heights, dots)
        anchor = "start" if side > 0 else "end"
        yield text_at(name, at[0] + 9 * side, at[1] + height, colour, anchor=anchor, size=_SMALL, weight=600)


def _freest(
    at: tuple[float, float], width: float, heights: tuple[float, ...], dots: list[tuple[float, float]]
) -> tuple[int, float]:
    """Where a name beside a dot covers the fewest others: to the right (1) or left (-1), and how far below."""

    def covered(side: int, height: float) -> tuple[int, int]:
        left, right = sorted((at[0] + 5 * side, at[0] + (13 + width) * side))
        outside = left < _LEFT or right > WIDTH - 2
        low, high = at[1] + height - _SMALL - 3, at[1] + height + 6
        return int(outside), sum(left < dot[0] < right and low < dot[1] < high for dot in dots if dot != at)

    return min(((side, height) for side in (1, -1) for height in heights), key=lambda place: covered(*place))
