"""The pages that explain a model and a table, for three levels of expertise, from the same numbers.

What differs between levels is chosen here and in the templates; nothing is computed but what a reader could work out
from the explanation itself (shares of counts that are in it).
"""

from collections.abc import Mapping, Sequence

from mlpipe_dagster.reports import data_tables, model_charts, model_tables
from mlpipe_dagster.reports.page import render
from mlpipe_dagster.reports.wording import number_text, percent_text
from mlpipe_dagster.vocabulary import Level
from mlpipe_dagster.xai.explanation import (
    ClassResult,
    ColumnImportance,
    DataExplanation,
    Figure,
    GroupResult,
    LocalExplanation,
    ModelExplanation,
)

MOST_FACTORS = 5
FEWEST_FACTORS = 3
NOTABLE_SHARE = 0.05
BEGINNER_CLASSES = 6
CLEAR_ERRORS = 2.0
CLEAR_RATIO = 1.25
MODEL_WORDS = {
    "Model": "The rules that a computer worked out from the rows it learned from.",
    "Prediction": "The answer the model gives for a row.",
    "Row and column": "A row is one case in the table, such as a person. A column is one thing known about every case.",
    "Test rows": "Rows kept aside and never used for learning, so that the model can be checked fairly.",
    "Influence": "How strongly a column moves the predictions, on average.",
}
OUTSIDE_WORDS = {"Test rows": "Rows of this table on which the model was checked. It may have learned from them."}
DATA_WORDS = {
    "Row and column": "A row is one case in the table, such as a person. A column is one thing known about every case.",
    "Missing value": "A cell of the table that holds nothing.",
    "Duplicate": "A row that is the same as another one in every column.",
    "Group": "Rows that share a value in a column about people, such as sex or age.",
    "Bias": "A difference between groups that can make a model treat people unfairly.",
}


def render_model_explanation(explanation: ModelExplanation, level: Level, links: Mapping[str, str]) -> str:
    """The page about a model at `level`, complete in itself. `links` is described in `page.render`."""
    charts: dict[str, object] = {"shares": model_charts.shares(beginner_factors(explanation))}
    context: dict[str, object] = {}
    if level is Level.BEGINNER:
        context |= _beginner(explanation)
    else:
        charts |= model_charts.details(explanation, expert=level is Level.EXPERT)
        context |= model_tables.details(explanation)
    return render(
        "model_explanation.html",
        e=explanation,
        level=str(level),
        links=links,
        charts=charts,
        interval=interval,
        **context,
    )


def render_data_explanation(explanation: DataExplanation, level: Level, links: Mapping[str, str]) -> str:
    """The page about a table at `level`, complete in itself. `links` is described in `page.render`."""
    return render(
        "data_explanation.html",
        e=explanation,
        level=str(level),
        links=links,
        words=DATA_WORDS,
        charts=data_tables.charts(explanation),
        **data_tables.tables(explanation, expert=level is Level.EXPERT),
    )


def interval(figure: Figure) -> str:
    """The 95 % interval of a figure in words."""
    if figure.low is None or figure.high is None:
        return "no interval"
    return f"95% interval {number_text(figure.low)} to {number_text(figure.high)}"


def beginner_factors(explanation: ModelExplanation) -> Sequence[ColumnImportance]:
    """Three to five columns: the first three that matter at all, and two more with 5 % of the influence each."""
    mattering = [column for column in explanation.columns if column.shap > 0]
    further = [column for column in mattering[FEWEST_FACTORS:MOST_FACTORS] if column.share >= NOTABLE_SHARE]
    return mattering[:FEWEST_FACTORS] + further


def _beginner(explanation: ModelExplanation) -> dict[str, object]:
    results = largest_classes(explanation)
    return {
        "factors": beginner_factors(explanation),
        "worst": _worst(explanation),
        "shown_results": results,
        "unshown_classes": len(explanation.classes) - len(results),
        "group_gaps": _group_gaps(explanation),
        "words": MODEL_WORDS if explanation.held_out else MODEL_WORDS | OUTSIDE_WORDS,
    }


def largest_classes(explanation: ModelExplanation, most: int = BEGINNER_CLASSES) -> Sequence[ClassResult]:
    """The classes with the most test rows, in their own order."""
    if explanation.confusion is None:
        return ()
    results = explanation.confusion.results
    kept = sorted(results, key=lambda result: -result.rows)[:most]
    return [result for result in results if result in kept]


def _worst(explanation: ModelExplanation) -> LocalExplanation | None:
    """The most wrong row, if it is wrong at all."""
    rows = [row for row in explanation.local if "most wrong" in row.kinds and row.predicted != row.actual]
    return rows[0] if rows else None


def _group_gaps(explanation: ModelExplanation) -> list[dict[str, str]]:
    """For each sensitive column the groups (of 30 rows or more) that fare best and worst, where they clearly differ."""
    found = []
    for column in dict.fromkeys(group.column for group in explanation.groups):
        groups = [group for group in explanation.groups if group.column == column and not group.small]
        gap = _error_gap(groups) if explanation.residuals else _accuracy_gap(groups)
        if gap:
            found.append({"column": column, **gap})
    return found


def _accuracy_gap(groups: Sequence[GroupResult]) -> dict[str, str] | None:
    """Best and worst accuracy, where the difference exceeds two standard errors."""
    rated = [(group.values["accuracy"] or 0.0, group) for group in groups if group.values.get("accuracy") is not None]
    if len(rated) < 2:
        return None
    (low, worst), (high, best) = (choose(rated, key=lambda pair: pair[0]) for choose in (min, max))
    variance = sum(share * (1 - share) / group.rows for share, group in ((low, worst), (high, best)))
    if high - low <= CLEAR_ERRORS * variance**0.5:
        return None
    text = "it is right more often"
    return _gap(text, (best.group, percent_text(high)), (worst.group, percent_text(low)))


def _error_gap(groups: Sequence[GroupResult]) -> dict[str, str] | None:
    """Smallest and largest mean absolute error, where they differ by a quarter or more."""
    rated = [(group.values["MAE"] or 0.0, group) for group in groups if group.values.get("MAE") is not None]
    if len(rated) < 2:
        return None
    (low, best), (high, worst) = (choose(rated, key=lambda pair: pair[0]) for choose in (min, max))
    if high < CLEAR_RATIO * low:
        return None
    return _gap("its errors are smaller", (best.group, number_text(low)), (worst.group, number_text(high)))


def _gap(text: str, best: tuple[str, str], worst: tuple[str, str]) -> dict[str, str]:
    return {"text": text, "best": best[0], "best_value": best[1], "worst": worst[0], "worst_value": worst[1]}
