"""The first screen of every model page: what the model does, how well, why, and for whom it fails.

The same sentences at every level, from the numbers of the explanation.
"""

from collections.abc import Sequence

from markupsafe import Markup

from mlpipe_dagster.automl.fairness.report import GroupMetrics
from mlpipe_dagster.reports.page import outcome
from mlpipe_dagster.reports.texts import quoted, texts
from mlpipe_dagster.reports.wording import list_text, number_text, percent_text
from mlpipe_dagster.xai.explanation import ModelExplanation
from mlpipe_dagster.xai.quality import ClassResult, Segment

FEW_CLASSES = 4
LEADING = 3
CLEARLY_FEWER = 0.1
CLEAR_ERRORS = 2.0
CLEAR_RATIO = 1.25


def glance(explanation: ModelExplanation) -> list[tuple[str, Markup]]:
    """Headings and sentences."""
    t = texts()
    made = {"what": what(explanation), "how": how(explanation), "why": why(explanation), "fails": fails(explanation)}
    return [(t.plain(f"glance.{key}"), sentence) for key, sentence in made.items()]


def classes_named(explanation: ModelExplanation) -> Markup:
    """`“bad” or “good”`."""
    said = [str(outcome(name, explanation.target)) for name in explanation.classes]
    return Markup(list_text(said, texts().sentences["or"]))  # noqa: S704 - escaped by `outcome`


def what(explanation: ModelExplanation) -> Markup:
    """What is predicted."""
    t, target = texts(), quoted(explanation.target)
    if explanation.residuals:
        low, high = explanation.residuals.target_minimum, explanation.residuals.target_maximum
        return t("glance.predicts_number", target=target, low=number_text(low), high=number_text(high))
    if len(explanation.classes) > FEW_CLASSES:
        return t("glance.predicts_many", target=target, count=len(explanation.classes))
    return t("glance.predicts_classes", target=target, classes=classes_named(explanation))


def how(explanation: ModelExplanation) -> Markup:
    """How often it is right or how far it is off, beside a constant answer."""
    t = texts()
    if explanation.residuals:
        said = t(
            "glance.off",
            rows=t.count("test_rows", explanation.test_rows),
            median=number_text(explanation.residuals.median_absolute),
            guess=number_text(explanation.residuals.baseline_median_absolute),
        )
    else:
        said = t(
            "glance.right" if explanation.held_out else "glance.right_outside",
            right=number_text(explanation.right or 0, 15),
            rows=number_text(explanation.test_rows, 15),
            share=percent_text(explanation.right_share or 0.0),
            guess=number_text(explanation.guess_right or 0, 15),
            common=outcome(_commonest(explanation), explanation.target),
        )
    if explanation.is_constant:
        return said + " " + t("glance.constant")
    return said if explanation.beats_baseline else said + " " + t("glance.no_gain")


def _commonest(explanation: ModelExplanation) -> str:
    """The class that the constant answer gives: as many test rows as `guess_right`."""
    results = explanation.confusion.results if explanation.confusion else ()
    return next((result.name for result in results if result.rows == explanation.guess_right), "")


def why(explanation: ModelExplanation) -> Markup:
    """The leading columns."""
    leading = [quoted(column.name) for column in explanation.columns[:LEADING] if column.shap > 0]
    return texts()("glance.leading", columns=texts().listed(leading)) if leading else texts()("glance.nothing")


def fails(explanation: ModelExplanation) -> Markup:
    """The class it finds least, the group it treats worst, else the rows where it errs most."""
    t, said = texts(), []
    weakest = weakest_class(explanation)
    if weakest:
        rows, right = t.count("rows", weakest.rows), number_text(weakest.right, 15)
        said.append(t("glance.class_missed", name=outcome(weakest.name, explanation.target), rows=rows, right=right))
    gaps = group_gaps(explanation)
    if gaps:
        best, worst = (outcome(gaps[0][key], gaps[0]["column"]) for key in ("best", "worst"))
        values = {key: gaps[0][key] for key in ("best_value", "worst_value")}
        said.append(t("glance.group", column=quoted(gaps[0]["column"]), best=best, worst=worst, **values))
    segment = worse_segment(explanation)
    if segment and not gaps:
        said.append(t("glance.segment", conditions=t.conditions(segment.conditions)))
    if explanation.residuals and not said:
        said.append(t("glance.percentile", value=number_text(explanation.residuals.percentile_90)))
    return Markup(" ").join(said or [t("glance.none")])


def weakest_class(explanation: ModelExplanation) -> ClassResult | None:
    """The class that is found clearly less often than rows on average are right."""
    results = explanation.confusion.results if explanation.confusion else ()
    known = [result for result in results if result.rows]
    if not known:
        return None
    weakest = min(known, key=lambda result: result.right / result.rows)
    short = (explanation.right_share or 0.0) - weakest.right / weakest.rows
    return weakest if short > CLEARLY_FEWER else None


def worse_segment(explanation: ModelExplanation) -> Segment | None:
    """The worst segment, where it is clearly worse than the rest."""
    segments = explanation.weak.segments if explanation.weak else ()
    return next((segment for segment in segments if segment.worse and segment.conditions), None)


def group_gaps(explanation: ModelExplanation) -> list[dict[str, str]]:
    """For each sensitive column the groups (of 30 rows or more) that fare best and worst, where they clearly differ."""
    found = []
    for column in dict.fromkeys(group.column for group in explanation.groups):
        groups = [group for group in explanation.groups if group.column == column and not group.small]
        gap = _error_gap(groups) if explanation.residuals else _accuracy_gap(groups)
        if gap:
            found.append({"column": column, **gap})
    return found


def _accuracy_gap(groups: Sequence[GroupMetrics]) -> dict[str, str] | None:
    """Best and worst accuracy, where the difference exceeds two standard errors."""
    rated = [(group.values["accuracy"] or 0.0, group) for group in groups if group.values.get("accuracy") is not None]
    if len(rated) < 2:
        return None
    (low, worst), (high, best) = (choose(rated, key=lambda pair: pair[0]) for choose in (min, max))
    variance = sum(share * (1 - share) / group.rows for share, group in ((low, worst), (high, best)))
    if high - low <= CLEAR_ERRORS * variance**0.5:
        return None
    return _gap("gap_accuracy", (best.group, percent_text(high)), (worst.group, percent_text(low)))


def _error_gap(groups: Sequence[GroupMetrics]) -> dict[str, str] | None:
    """Smallest and largest mean absolute error, where they differ by a quarter or more."""
    rated = [(group.values["MAE"] or 0.0, group) for group in groups if group.values.get("MAE") is not None]
    if len(rated) < 2:
        return None
    (low, best), (high, worst) = (choose(rated, key=lambda pair: pair[0]) for choose in (min, max))
    if high < CLEAR_RATIO * low:
        return None
    return _gap("gap_error", (best.group, number_text(low)), (worst.group, number_text(high)))


def _gap(key: str, best: tuple[str, str], worst: tuple[str, str]) -> dict[str, str]:
    return {"key": key, "best": best[0], "best_value": best[1], "worst": worst[0], "worst_value": worst[1]}
