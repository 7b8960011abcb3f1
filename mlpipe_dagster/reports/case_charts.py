"""Two pictures for single cases: dots that count out of ten, and a waterfall from a base value to an output."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mlpipe_dagster.reports.charts import FONT, WIDTH, drawing, escaped, linear, text_at
from mlpipe_dagster.reports.wording import number_text, shortened, signed_text, text_width

_DOT = 30.0
_STEP = 33
_ACCENT, _QUIET = "var(--accent, #0b6b70)", "var(--quiet, #525c66)"


@dataclass(frozen=True)
class Step:
    """One labelled move of the output."""

    label: str
    value: float


def dots(count: int, *, title: str) -> Markup:
    """Ten circles in a row, the first `count` of them filled."""
    circles = [
        f'<circle cx="{17 + at * (_DOT + 4):.0f}" cy="17" r="{_DOT / 2 - 2:.0f}" stroke="{_ACCENT}" stroke-width="2" '
        f'fill="{_ACCENT if at < count else "none"}"/>'
        for at in range(10)
    ]
    return drawing(34, title, "", circles)


def waterfall(steps: Sequence[Step], base: float, output: float, *, title: str, names: tuple[str, str]) -> Markup:
    """From `base` down to `output`, one step a row, each starting where the one before ended.

    Steps up are drawn in the accent colour, steps down in grey; `names` are those of base and output.
    """
    ends = [base, output]
    for step in steps:
        ends.append(ends[-1] + step.value if len(ends) > 2 else base + step.value)
    scale = linear(min(ends), max(ends), 6.0, WIDTH - 6.0)
    parts = _mark(names[0], number_text(base), scale(base), 0)
    at = base
    for row, step in enumerate(steps, start=1):
        parts += _step(step, scale(at), scale(at + step.value), row * _STEP)
        at += step.value
    parts += _mark(names[1], number_text(output), scale(output), (len(steps) + 1) * _STEP)
    said = "; ".join(f"{step.label}: {signed_text(step.value)}" for step in steps)
    said = f"{names[0]}: {number_text(base)}; {said}; {names[1]}: {number_text(output)}."
    return drawing((len(steps) + 2) * _STEP, title, said, parts)


def _mark(name: str, value: str, x: float, top: float) -> list[str]:
    return [
        text_at(name, 2, top + 13, weight=600),
        text_at(value, WIDTH - 2, top + 13, anchor="end", weight=600),
        f'<path d="M{x:.1f} {top + 18:.1f}v13" stroke="var(--ink, #1b2026)" stroke-width="2.5"/>',
    ]


def _step(step: Step, start: float, end: float, top: float) -> list[str]:
    value = signed_text(step.value)
    left, width = min(start, end), max(abs(end - start), 0.8)
    return [
        f"<g><title>{escaped(f'{step.label}: {value}')}</title>",
        text_at(shortened(step.label, WIDTH - 12 - text_width(value, FONT), FONT), 2, top + 13),
        text_at(value, WIDTH - 2, top + 13, anchor="end", weight=600),
        f'<rect x="{left:.1f}" y="{top + 19:.1f}" width="{width:.1f}" height="10" '
        f'fill="{_ACCENT if step.value >= 0 else _QUIET}"/></g>',
    ]
