"""A foreign report's JSON as rows that a page can show: nothing is assumed of it, and nothing of it is trusted."""

from dataclasses import dataclass
from typing import Any

MOST_ROWS = 5000
DEEPEST = 12


@dataclass(frozen=True)
class ReportRow:
    """One line: its depth in the JSON, its name, and its value; a heading has no value."""

    depth: int
    name: str
    value: str | None


def as_rows(report: dict[str, Any]) -> list[ReportRow]:
    """The report's keys and values in their order, at most 5,000 of them, the last line saying so."""
    rows: list[ReportRow] = []
    _walk(report, 0, rows)
    if len(rows) > MOST_ROWS:
        return [*rows[:MOST_ROWS], ReportRow(0, "…", "The rest is left out here; the JSON has all of it.")]
    return rows


def _walk(value: dict[str, Any] | list[Any], depth: int, rows: list[ReportRow]) -> None:
    items = value.items() if isinstance(value, dict) else ((str(place), item) for place, item in enumerate(value, 1))
    for name, item in items:
        if len(rows) > MOST_ROWS:
            return
        if not isinstance(item, dict | list):
            rows.append(ReportRow(depth, name, _text(item)))
        elif not item:
            rows.append(ReportRow(depth, name, "none"))
        elif depth >= DEEPEST:
            rows.append(ReportRow(depth, name, "…"))
        elif isinstance(item, list) and not any(isinstance(part, dict | list) for part in item):
            rows.append(ReportRow(depth, name, ", ".join(_text(part) for part in item)))
        else:
            rows.append(ReportRow(depth, name, None))
            _walk(item, depth + 1, rows)


def _text(value: object) -> str:
    words = {None: "none", True: "yes", False: "no"}
    if value is None or isinstance(value, bool):
        return words[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)
