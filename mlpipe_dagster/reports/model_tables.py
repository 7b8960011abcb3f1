"""The tables of the intermediate and expert model pages: heads and rows of written cells for the templates."""

from collections.abc import Iterator

from mlpipe_dagster.reports.model_charts import local_caption
from mlpipe_dagster.reports.texts import texts
from mlpipe_dagster.reports.wording import number_text, percent_text, signed_text
from mlpipe_dagster.xai.explanation import (
    ColumnImportance,
    Interaction,
    LocalExplanation,
    ModelExplanation,
    ValueEffect,
)
from mlpipe_dagster.xai.pieces import Figure
from mlpipe_dagster.xai.quality import CostChoice, GoalThreshold, Rule, Segment, Threshold

Head = tuple[tuple[str, bool], ...]
Rows = list[tuple[str, ...]]
MOST_COLUMNS = 60
MOST_CLASSES = 12
MOST_EFFECTS = 8
MOST_TRIALS = 60
MOST_PAIRS = 10


def head(*keys: str) -> Head:
    """Titles of the columns named by `keys`; `#` before a key: a column of numbers."""
    return tuple((texts().plain(f"head.{key.removeprefix('#')}"), key.startswith("#")) for key in keys)


def details(explanation: ModelExplanation) -> dict[str, object]:
    """Everything the template `model_details.html` lists in tables."""
    return {
        "column_head": head("column", "read_as", "#shap", "#interval", "#share", "#shuffled", "direction"),
        "column_rows": [_column(column) for column in explanation.columns[:MOST_COLUMNS]],
        "cut_note": cut(len(explanation.columns), MOST_COLUMNS),
        "effect_head": head("column", "value", "#rows", "#mean_shap"),
        "effect_rows": list(_effects(explanation)),
        "score_head": head("score", "#value", "#low", "#high"),
        "score_rows": [_score(figure) for figure in (*explanation.scores, _renamed_baseline(explanation))],
        "trial_head": head("#trial", "algorithm", "#validation", "#loss", "#seconds", "parameters", "note"),
        "trial_rows": list(_trials(explanation)),
        "trial_note": cut(len(explanation.leaderboard), MOST_TRIALS),
        "local_head": head("column", "value", "#shap_value", "#lime"),
        "local_tables": [(local_caption(row), _fidelity(row), _local(row)) for row in explanation.local],
        **_classes(explanation),
        **_choices(explanation),
        **_imitations(explanation),
    }


def cut(count: int, most: int, key: str = "page.cut") -> str:
    """That only the first of many are listed; empty where all are."""
    return texts().plain(key, most=most, count=number_text(count, 15)) if count > most else ""


def span(low: float | None, high: float | None) -> str:
    """`0.6 to 0.73`."""
    if low is None or high is None:
        return ""
    return texts().plain("cells.to", low=number_text(low), high=number_text(high))


def percent_span(low: float, high: float) -> str:
    """`60% to 73%`."""
    return texts().plain("cells.to", low=percent_text(low), high=percent_text(high))


def _optional(value: float | None) -> str:
    return "" if value is None else number_text(value)


def _column(column: ColumnImportance) -> tuple[str, ...]:
    shuffled = _optional(column.permutation)
    if column.permutation_deviation is not None:
        shuffled += f" ± {number_text(column.permutation_deviation, 2)}"
    direction = texts().plain(f"directions.{column.direction}")
    if column.correlation is not None:
        value = number_text(column.correlation, 2)
        direction = texts().plain("cells.spearman", direction=direction, value=value)
    return (
        column.name,
        texts().plain(f"kind_words.{column.kind}"),
        number_text(column.shap),
        span(column.shap_low, column.shap_high),
        percent_text(column.share),
        shuffled,
        direction,
    )


def _effects(explanation: ModelExplanation) -> Iterator[tuple[str, ...]]:
    for column in explanation.columns[:MOST_EFFECTS]:
        for effect in column.effects:
            yield column.name, range_text(effect), number_text(effect.rows, 15), signed_text(effect.effect)


def range_text(effect: ValueEffect) -> str:
    """The value, or the range of numbers in words."""
    if effect.span is None:
        return effect.value
    low, high = effect.span
    if not low:
        return texts().plain("range.up_to", high=high)
    return texts().plain("range.between", low=low, high=high) if high else texts().plain("range.over", low=low)


def _classes(explanation: ModelExplanation) -> dict[str, object]:
    if explanation.confusion is None:
        return {}
    counted = explanation.confusion
    order = sorted(range(len(counted.classes)), key=lambda at: -counted.results[at].rows)
    kept = sorted(order[:MOST_CLASSES])
    predicted = tuple((texts().plain("head.predicted", name=counted.classes[at]), True) for at in kept)
    rows = [
        (
            counted.classes[at],
            *(number_text(counted.counts[at][other], 15) for other in kept),
            number_text(counted.results[at].rows, 15),
        )
        for at in kept
    ]
    by_class = [
        (
            result.name,
            number_text(result.rows, 15),
            _ratio(result.right, result.rows),
            _ratio(result.right, result.predicted),
        )
        for result in (counted.results[at] for at in sorted(order[:MOST_COLUMNS]))
    ]
    return {
        "confusion_head": (*head("actual"), *predicted, *head("#rows")),
        "confusion_rows": rows,
        "confusion_note": cut(len(counted.classes), MOST_CLASSES, "page.cut_largest"),
        "class_head": head("class", "#test_rows", "#recall", "#precision"),
        "class_rows": by_class,
    }


def _ratio(part: int, whole: int) -> str:
    if not whole:
        return texts().plain("cells.no_rows")
    values = {"part": number_text(part, 15), "whole": number_text(whole, 15)}
    return texts().plain("cells.ratio", share=percent_text(part / whole), **values)


def _choices(explanation: ModelExplanation) -> dict[str, object]:
    """Thresholds, costs, weak segments, interactions, calibration."""
    thresholds, weak, calibration = explanation.thresholds, explanation.weak, explanation.calibration
    return {
        "threshold_head": head("#threshold", "#flagged", "#found", "#right", "#false_alarms", "#accuracy"),
        "threshold_rows": [_threshold(step) for step in thresholds.steps] if thresholds else [],
        "cost_head": head("#miss", "#threshold", "#cost", "#interval", "#at_half"),
        "cost_rows": [_cost(cost) for cost in thresholds.costs] if thresholds else [],
        "goal_head": head("goal", "#threshold", "#flagged", "#found", "#right"),
        "goal_rows": [_goal(goal) for goal in thresholds.goals] if thresholds else [],
        "segment_head": head("conditions", "#rows", "#error", "#interval"),
        "segment_rows": [_segment(part, bool(explanation.classes)) for part in weak.segments] if weak else [],
        "pair_head": head("first", "second", "#strength", "#interval", "#h", "#interval"),
        "pair_rows": [_pair(pair) for pair in explanation.interactions[:MOST_PAIRS]],
        "calibration_head": head("#predicted_mean", "#observed", "#interval", "#rows"),
        "calibration_rows": [
            (number_text(held.predicted), number_text(held.observed), span(held.low, held.high), str(held.rows))
            for held in (calibration.bins if calibration else ())
        ],
    }


def _pair(pair: Interaction) -> tuple[str, ...]:
    return (
        pair.first,
        pair.second,
        number_text(pair.strength),
        span(pair.low, pair.high),
        percent_text(pair.share),
        percent_span(pair.share_low, pair.share_high),
    )


def _threshold(step: Threshold) -> tuple[str, ...]:
    shares = (step.flagged, step.found, step.right, step.false_alarms, step.accuracy)
    undefined = texts().plain("cells.not_defined")
    return number_text(step.threshold), *(undefined if share is None else percent_text(share) for share in shares)


def _cost(cost: CostChoice) -> tuple[str, ...]:
    miss, threshold = number_text(cost.miss), number_text(cost.threshold)
    return miss, threshold, number_text(cost.cost), span(cost.low, cost.high), number_text(cost.cost_at_half)


def _goal(goal: GoalThreshold) -> tuple[str, ...]:
    named = texts().plain(f"goals.{goal.goal}")
    return named, number_text(goal.threshold), percent_text(goal.flagged), _rate(goal.found), _rate(goal.right)


def _rate(rate: Figure | None) -> str:
    """A share and its interval."""
    if rate is None:
        return texts().plain("cells.not_defined")
    return f"{percent_text(rate.value)} ({percent_span(rate.low or 0.0, rate.high or 0.0)})"


def error_text(value: float, classes: bool) -> str:
    """A share of wrong answers, or an error in the unit of the target."""
    return percent_text(value) if classes else number_text(value)


def _segment(segment: Segment, classes: bool) -> tuple[str, ...]:
    low, high = error_text(segment.low, classes), error_text(segment.high, classes)
    return (
        texts().conditions(segment.conditions) + (" *" if segment.worse else ""),
        number_text(segment.rows, 15),
        error_text(segment.error, classes),
        texts().plain("cells.to", low=low, high=high),
    )


def _imitations(explanation: ModelExplanation) -> dict[str, object]:
    """The surrogate's rules."""
    rules = explanation.surrogate.rules if explanation.surrogate else ()
    return {
        "rule_head": head("conditions", "answer", "#rows", "#agreement"),
        "rule_rows": [_rule(rule, bool(explanation.classes)) for rule in rules],
    }


def _rule(rule: Rule, classes: bool) -> tuple[str, ...]:
    agreeing = percent_text(rule.agreeing) if classes else f"± {number_text(rule.agreeing)}"
    return texts().conditions(rule.conditions), rule.answer, number_text(rule.rows, 15), agreeing


def _renamed_baseline(explanation: ModelExplanation) -> Figure:
    baseline = explanation.baseline_score
    values = {"name": baseline.name, "algorithm": explanation.baseline_algorithm}
    return baseline.model_copy(update={"name": texts().plain("details.baseline_score", **values)})


def _score(figure: Figure) -> tuple[str, ...]:
    named = texts().plain(f"splits.{figure.split}", name=figure.name) if figure.split else figure.name
    return named, number_text(figure.value, 4), _optional(figure.low), _optional(figure.high)


def _trials(explanation: ModelExplanation) -> Iterator[tuple[str, ...]]:
    for trial in explanation.leaderboard[:MOST_TRIALS]:
        marked = texts().plain("details.baseline_mark", algorithm=trial.algorithm)
        yield (
            str(trial.number),
            marked if trial.baseline else trial.algorithm,
            "" if trial.score is None else number_text(trial.score, 4),
            "" if trial.loss is None else number_text(trial.loss, 4),
            number_text(trial.seconds, 2),
            parameters(trial.parameters),
            texts().said(trial.note),
        )


def parameters(values: dict[str, str]) -> str:
    """`depth = 3, rate = 0.1`."""
    return ", ".join(f"{name} = {value}" for name, value in values.items())


def _fidelity(row: LocalExplanation) -> str:
    if row.lime_fidelity is None or row.lime_agreement is None:
        return ""
    agreement = row.lime_agreement
    values = {"fidelity": number_text(row.lime_fidelity, 2), "shared": agreement.shared, "top": agreement.top}
    if agreement.correlation is None:
        return texts().plain("details.lime_fits_plain", **values)
    return texts().plain("details.lime_fits", correlation=number_text(agreement.correlation, 2), **values)


def _local(row: LocalExplanation) -> Rows:
    return [
        (part.column, part.value, signed_text(part.shap), "" if part.lime is None else signed_text(part.lime))
        for part in row.contributions
    ]
