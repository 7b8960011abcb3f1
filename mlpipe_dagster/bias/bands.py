"""Bands for sensitive numbers: ages into the usual ranges, anything else into quarters.

Pure arithmetic on a few quantiles; `groups.py` asks for those and applies the edges.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_AGE_EDGES = (25.0, 35.0, 45.0, 55.0, 65.0)
_AGE_NAMES = ("under 25", "25\u201334", "35\u201344", "45\u201354", "55\u201364", "65 and over")
_OLDEST = 130.0
_FINENESS = 50
"""Edges of quarters are rounded to a power of ten of which half of the rows span so many or more."""


@dataclass(frozen=True)
class Banding:
    """`edges` cut a number into `len(edges) + 1` bands; a value at an edge belongs to the band above it."""

    edges: tuple[float, ...]
    names: tuple[str, ...]
    note: str


def choose_banding(kind: str, lowest: float, highest: float, quartiles: Sequence[float], *, whole: bool) -> Banding:
    """Ten-year bands where an age spreads over several of them, else bands of about a quarter of the rows each."""
    first, _, third = quartiles
    spreads = bisect_right(_AGE_EDGES, first) != bisect_right(_AGE_EDGES, third)
    if kind == "age" and lowest >= 0 and highest <= _OLDEST and spreads:
        return Banding(_AGE_EDGES, _AGE_NAMES, "Ages were grouped into ten-year bands.")
    step = 10.0 ** math.floor(math.log10((third - first) / _FINENESS)) if third > first else 0.0
    rounded = _rounded(quartiles, step) if step > 1 or (step and not whole) else []
    inside = [edge for edge in rounded if lowest < edge <= highest]
    if inside:
        return Banding(tuple(inside), _open_names(inside), "Values were grouped into about four equal parts.")
    edges = tuple(sorted({edge for edge in quartiles if edge > lowest}))
    starts, ends = (lowest, *edges), (*edges, None)
    names = tuple(_name(start, end, highest, whole=whole) for start, end in zip(starts, ends, strict=True))
    return Banding(edges, names, "Values were grouped into about four equal parts.")


def _rounded(quartiles: Sequence[float], step: float) -> list[float]:
    """Edges that read well: multiples of `step`, a power of ten."""
    digits = max(0, -round(math.log10(step)))
    return sorted({round(round(edge / step) * step, digits) for edge in quartiles})


def _open_names(edges: Sequence[float]) -> tuple[str, ...]:
    """Bands that are open at both ends, for the extremes are single rows'."""
    texts = [f"{edge:.10g}" for edge in edges]
    between = [f"{start} to under {end}" for start, end in pairwise(texts)]
    return (f"under {texts[0]}", *between, f"{texts[-1]} and over")


def _name(start: float, end: float | None, highest: float, *, whole: bool) -> str:
    """The band from `start` to below `end`; the last one, without an end, includes `highest`."""
    if end is None and start == highest:
        return f"{start:.10g}"
    if whole:
        last = highest if end is None else end - 1
        return f"{start:.0f}" if last == start else f"{start:.0f}\u2013{last:.0f}"
    return f"{start:.10g} to {highest:.10g}" if end is None else f"{start:.10g} to under {end:.10g}"
