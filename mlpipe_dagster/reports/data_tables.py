"""The charts and tables of the pages about a table: target, gaps, columns, groups."""

from collections.abc import Iterator

from mlpipe_dagster.reports.charts import Bar, bar_chart, histogram
from mlpipe_dagster.reports.wording import number_text, percent_text
from mlpipe_dagster.xai.explanation import ColumnSummary, DataExplanation

MOST_BARS = 12
MOST_COLUMNS = 120
KIND_WORDS = {
    "number": "numbers",
    "category": "categories",
    "boolean": "yes or no",
    "datetime": "dates",
    "text": "free text",
    "identifier": "identifiers",
    "constant": "always the same value",
    "empty": "empty",
}


def charts(explanation: DataExplanation) -> dict[str, object]:
    """Charts of the target and of missing values; None where there is nothing to draw."""
    return {"target": _target(explanation), "missing": _missing(explanation)}


def _target(explanation: DataExplanation) -> object:
    if explanation.target_values:
        bars = [
            Bar(value, count, text=_counted(count, explanation.target_known))
            for value, count in explanation.target_values
        ]
        if explanation.target_other:
            bars.append(
                Bar(
                    "all other values",
                    explanation.target_other,
                    text=_counted(explanation.target_other, explanation.target_known),
                )
            )
        return bar_chart(bars, title=f"Rows by {explanation.target}")
    if explanation.target_histogram:
        return histogram(explanation.target_histogram, title=f"Values of {explanation.target}")
    return None


def _counted(count: int, whole: int) -> str:
    return f"{count:,} ({percent_text(count / whole)})" if whole else f"{count:,}"


def incomplete_columns(explanation: DataExplanation) -> list[ColumnSummary]:
    """Columns with missing values, the emptiest first."""
    return sorted((column for column in explanation.columns if column.missing), key=lambda column: -column.missing)


def _missing(explanation: DataExplanation) -> object:
    gaps = incomplete_columns(explanation)[:MOST_BARS]
    if not gaps:
        return None
    bars = [Bar(column.name, column.missing_share, text=percent_text(column.missing_share)) for column in gaps]
    return bar_chart(bars, title="Share of missing values by column")


def tables(explanation: DataExplanation, *, expert: bool) -> dict[str, object]:
    """What the template lists: columns, classes, sensitive groups, and words for the kinds of columns."""
    count = len(explanation.columns)
    head = (("Column", False), ("Kind", False), ("Missing", True), ("Distinct", True), ("Values", False))
    expert_head = (
        ("Column", False),
        ("Kind", False),
        ("Type", False),
        ("Missing", True),
        ("Distinct", True),
        ("Minimum", True),
        ("Median", True),
        ("Mean", True),
        ("Deviation", True),
        ("Maximum", True),
        ("Most frequent values", False),
    )
    listed = explanation.columns[:MOST_COLUMNS]
    return {
        "incomplete": incomplete_columns(explanation),
        "kind_words": KIND_WORDS,
        "column_head": expert_head if expert else head,
        "column_rows": [_expert_row(column) if expert else _row(column) for column in listed],
        "column_note": f"The first {MOST_COLUMNS} of {count:,}." if count > MOST_COLUMNS else "",
        "group_head": (("Column", False), ("What it tells", False), ("Group", False), ("Rows", True)),
        "group_rows": list(_groups(explanation)),
    }


def _missing_cell(column: ColumnSummary) -> str:
    return f"{column.missing:,} ({percent_text(column.missing_share)})" if column.missing else "0"


def _frequent(column: ColumnSummary, most: int) -> str:
    return ", ".join(f"{value} ({count:,})" for value, count in column.top[:most])


def _values(column: ColumnSummary) -> str:
    if column.personal is not None:
        return f"not shown: identifies people ({column.personal})"
    if column.minimum is not None and column.maximum is not None:
        middle = "" if column.median is None else f", half below {number_text(column.median)}"
        return f"{number_text(column.minimum)} to {number_text(column.maximum)}{middle}"
    return _frequent(column, 3)


def _row(column: ColumnSummary) -> tuple[str, ...]:
    return column.name, column.kind, _missing_cell(column), f"{column.distinct:,}", _values(column)


def _expert_row(column: ColumnSummary) -> tuple[str, ...]:
    numbers = (column.minimum, column.median, column.mean, column.standard_deviation, column.maximum)
    values = _values(column) if column.personal is not None else _frequent(column, 5)
    return (
        column.name,
        column.kind,
        column.data_type,
        _missing_cell(column),
        f"{column.distinct:,}",
        *("" if number is None else number_text(number, 4) for number in numbers),
        values,
    )


def _groups(explanation: DataExplanation) -> Iterator[tuple[str, ...]]:
    for sensitive in explanation.sensitive:
        for name, count in sensitive.groups:
            yield sensitive.column, sensitive.kind, name, "too few to show" if count is None else f"{count:,}"
