"""The charts, sentences and tables of the pages about a table: target, gaps, columns, relations, groups."""

from collections.abc import Iterator

from markupsafe import Markup

from mlpipe_dagster.reports.charts import Bar, bar_chart, histogram
from mlpipe_dagster.reports.model_tables import cut, head, span
from mlpipe_dagster.reports.texts import quoted, texts
from mlpipe_dagster.reports.wording import number_text, percent_text
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.data_explanation import ColumnSummary, DataExplanation

MOST_BARS = 12
MOST_COLUMNS = 120
MOST_RELATED = 8
LEAST_SHOWN = 0.005


def charts(explanation: DataExplanation) -> dict[str, object]:
    """Charts of the target, of missing values and of relations; None where there is nothing to draw."""
    return {
        "target": _target(explanation),
        "missing": _missing(explanation),
        "relations": _relations(explanation),
    }


def _target(explanation: DataExplanation) -> object:
    t, known = texts(), explanation.target_known
    if explanation.target_values:
        bars = [Bar(value, count, text=_counted(count, known)) for value, count in explanation.target_values]
        if explanation.target_other:
            other = explanation.target_other
            bars.append(Bar(t.plain("cells.others"), other, text=_counted(other, known)))
        return bar_chart(bars, title=t.plain("charts.target_bars", target=explanation.target))
    if explanation.target_histogram:
        title = t.plain("charts.target_values", target=explanation.target)
        return histogram(explanation.target_histogram, title=title)
    return None


def _counted(count: int, whole: int) -> str:
    return f"{number_text(count, 15)} ({percent_text(count / whole)})" if whole else number_text(count, 15)


def incomplete_columns(explanation: DataExplanation) -> list[ColumnSummary]:
    """Columns with missing values, the emptiest first."""
    return sorted((column for column in explanation.columns if column.missing), key=lambda column: -column.missing)


def _missing(explanation: DataExplanation) -> object:
    gaps = incomplete_columns(explanation)[:MOST_BARS]
    if not gaps:
        return None
    bars = [Bar(column.name, column.missing_share, text=percent_text(column.missing_share)) for column in gaps]
    return bar_chart(bars, title=texts().plain("charts.missing"))


def _task(explanation: DataExplanation) -> str:
    return texts().plain(f"tasks.{explanation.task}" if explanation.task else "data.no_task")


def _relations(explanation: DataExplanation) -> object:
    leading = [relation for relation in explanation.relations[:MOST_RELATED] if relation.share >= LEAST_SHOWN]
    if not leading:
        return None
    bars = [Bar(one.column, one.share, one.low, one.high, text=percent_text(one.share)) for one in leading]
    return bar_chart(bars, title=texts().plain("charts.relations", target=explanation.target))


def tables(explanation: DataExplanation, *, expert: bool) -> dict[str, object]:
    """What the template lists: sentences, columns, relations, drift, sensitive groups."""
    simple = ("column", "kind", "#missing", "#distinct", "values")
    full = ("column", "kind", "type", "#missing", "#distinct", "values")
    listed = explanation.columns[:MOST_COLUMNS]
    return {
        "say": _paragraphs(explanation),
        "facts": _facts(explanation),
        "column_head": head(*(full if expert else simple)),
        "column_rows": [_expert_row(column) if expert else _row(column) for column in listed],
        "column_note": cut(len(explanation.columns), MOST_COLUMNS),
        "group_head": head("column", "tells", "group", "#rows"),
        "group_rows": list(_groups(explanation)),
        "relation_head": head("column", "kind", "#says", "#interval", "#groups"),
        "relation_rows": [
            (
                one.column,
                texts().plain(f"kind_words.{one.kind}"),
                percent_text(one.share),
                texts().plain("cells.to", low=percent_text(one.low), high=percent_text(one.high)),
                number_text(one.groups, 15),
            )
            for one in explanation.relations[:MOST_COLUMNS]
        ],
        "relation_note": cut(len(explanation.relations), MOST_COLUMNS),
        "drift_head": head("column", "#distance", "#p_value"),
        "drift_rows": [
            (f"{one.column} *" if one.clear else one.column, number_text(one.distance), number_text(one.p_value))
            for one in explanation.drift[:MOST_COLUMNS]
        ],
    }


def _paragraphs(explanation: DataExplanation) -> dict[str, Markup]:
    t = texts()
    empty = t("data.no_cell_empty")
    if explanation.missing_cells:
        empty = t("data.cells_empty", share=percent_text(explanation.missing_share))
    rows, columns = t.count("rows", explanation.row_count), t.count("columns", explanation.column_count)
    said = {"lead": t("data.lead", rows=rows, columns=columns, empty=empty, verdict=explanation.bias_verdict)}
    gaps = incomplete_columns(explanation)
    if gaps:
        said["gaps"] = t("data.gaps", count=len(gaps), columns=columns)
        said["gaps_simple"] = t(
            "data.gaps_simple",
            count=len(gaps),
            columns=columns,
            name=quoted(gaps[0].name),
            missing=number_text(gaps[0].missing, 15),
            rows=number_text(explanation.row_count, 15),
        )
    if explanation.target:
        key = "data.known" if explanation.task else "data.known_plain"
        known = number_text(explanation.target_known, 15)
        target = quoted(explanation.target)
        said["known"] = t(key, target=target, task=_task(explanation), known=known, rows=rows)
    if explanation.relations:
        what = "variance" if explanation.task is TaskKind.REGRESSION else "uncertainty"
        looked = t.count("rows", explanation.relations_rows)
        said["relations"] = t("data.relations_text", what=t.plain(f"data.{what}"), rows=looked)
    if explanation.drift and explanation.drift_rows:
        said["drift"] = _drift(explanation, *explanation.drift_rows)
    return said


def _drift(explanation: DataExplanation, learned: int, tested: int) -> Markup:
    t, largest = texts(), explanation.drift[0]
    differing = [quoted(one.column) for one in explanation.drift if one.clear]
    clear = t("data.drift_clear", columns=t.listed(differing)) if differing else t("data.drift_none")
    return t(
        "data.drift_text",
        columns=t.count("columns", len(explanation.drift)),
        learned=t.count("rows", learned),
        tested=t.count("test_rows", tested),
        distance=number_text(largest.distance),
        column=quoted(largest.column),
        clear=clear,
    )


def _facts(explanation: DataExplanation) -> list[tuple[str, str, str]]:
    t = texts()
    share = percent_text(explanation.duplicate_share)
    duplicates = t.plain("data.fact_duplicates", count=number_text(explanation.duplicate_rows, 15), share=share)
    counts = {
        "count": number_text(explanation.missing_cells, 15),
        "cells": number_text(explanation.cells, 15),
    }
    kinds = ", ".join(f"{count} {t.plain(f'kind_words.{kind}')}" for kind, count in explanation.kinds.items())
    target = explanation.target or t.plain("data.not_chosen")
    return [
        (t.plain("data.fact_rows"), number_text(explanation.row_count, 15), duplicates),
        (t.plain("data.fact_columns"), number_text(explanation.column_count, 15), kinds),
        (t.plain("data.fact_empty"), percent_text(explanation.missing_share), t.plain("data.fact_of", **counts)),
        (t.plain("data.fact_target"), target, _task(explanation)),
    ]


def _missing_cell(column: ColumnSummary) -> str:
    return _counted_share(column.missing, column.missing_share) if column.missing else "0"


def _counted_share(count: int, share: float) -> str:
    return f"{number_text(count, 15)} ({percent_text(share)})"


def _frequent(column: ColumnSummary, most: int) -> str:
    return ", ".join(f"{value} ({number_text(count, 15)})" for value, count in column.top[:most])


def _values(column: ColumnSummary) -> str:
    if column.personal is not None:
        return texts().plain("cells.not_shown", how=column.personal)
    if column.minimum is not None and column.maximum is not None:
        if column.median is None:
            return span(column.minimum, column.maximum)
        ends = {"low": column.minimum, "high": column.maximum, "median": column.median}
        return texts().plain("cells.range_half", **{name: number_text(end) for name, end in ends.items()})
    return _frequent(column, 3)


def _row(column: ColumnSummary) -> tuple[str, ...]:
    kind = texts().plain(f"kind_words.{column.kind}")
    return column.name, kind, _missing_cell(column), number_text(column.distinct, 15), _values(column)


def _expert_row(column: ColumnSummary) -> tuple[str, ...]:
    return (
        column.name,
        texts().plain(f"kind_words.{column.kind}"),
        column.data_type,
        _missing_cell(column),
        number_text(column.distinct, 15),
        _all_values(column),
    )


def _all_values(column: ColumnSummary) -> str:
    """Of numbers extremes, middle, mean and deviation; the most frequent values, unless they identify people."""
    if column.personal is not None or column.minimum is None:
        return _values(column) if column.personal is not None else _frequent(column, 5)
    numbers = (column.minimum, column.maximum, column.median, column.mean, column.standard_deviation)
    names = ("low", "high", "median", "mean", "deviation")
    written = {
        name: "?" if number is None else number_text(number, 4) for name, number in zip(names, numbers, strict=True)
    }
    return texts().plain("cells.numbers", frequent=_frequent(column, 5), **written)


def _groups(explanation: DataExplanation) -> Iterator[tuple[str, ...]]:
    for sensitive in explanation.sensitive:
        for name, count in sensitive.groups:
            shown = texts().plain("cells.too_few") if count is None else number_text(count, 15)
            yield sensitive.column, sensitive.kind, name, shown
