"""The tables of the intermediate and expert model pages: heads and rows of written cells for the templates."""

from collections.abc import Iterator, Sequence

from mlpipe_dagster.automl.fairness.report import SUPPRESSED_BELOW, Disparity
from mlpipe_dagster.reports.model_charts import local_caption
from mlpipe_dagster.reports.wording import number_text, percent_text, signed_text
from mlpipe_dagster.xai.explanation import ColumnImportance, Figure, LocalExplanation, ModelExplanation

Head = tuple[tuple[str, bool], ...]
Rows = list[tuple[str, ...]]
MOST_COLUMNS = 60
MOST_CLASSES = 12
MOST_EFFECTS = 8
MOST_TRIALS = 60
MOST_DISPARITIES = 200
DIRECTIONS = {
    "raises": "rises with it",
    "lowers": "falls with it",
    "mixed": "mixed",
    "by value": "by value",
    "none": "none",
}


def details(explanation: ModelExplanation) -> dict[str, object]:
    """Everything the template `model_details.html` lists in tables."""
    return {
        "column_head": (
            ("Column", False),
            ("Read as", False),
            ("Mean |SHAP|", True),
            ("95% interval", True),
            ("Share", True),
            ("When shuffled", True),
            ("Direction", False),
        ),
        "column_rows": [_column(column) for column in explanation.columns[:MOST_COLUMNS]],
        "cut_note": _cut(len(explanation.columns), MOST_COLUMNS),
        "effect_head": (("Column", False), ("Value", False), ("Rows", True), ("Mean SHAP value", True)),
        "effect_rows": list(_effects(explanation)),
        "group_tables": list(_groups(explanation)),
        "disparity_head": (
            ("Column", False),
            ("Group", False),
            ("Compared with", False),
            ("Measure", False),
            ("Value", True),
            ("95% interval", True),
            ("Equal", True),
            ("p (Holm)", True),
        ),
        **_disparities(explanation),
        "score_head": (("Score", False), ("Value", True), ("Low", True), ("High", True)),
        "score_rows": [_score(figure) for figure in (*explanation.scores, _renamed_baseline(explanation))],
        "trial_head": (
            ("Trial", True),
            ("Algorithm", False),
            ("Validation score", True),
            ("Loss", True),
            ("Seconds", True),
            ("Parameters", False),
            ("Note", False),
        ),
        "trial_rows": list(_trials(explanation)),
        "trial_note": _cut(len(explanation.leaderboard), MOST_TRIALS),
        "method_rows": _methods(explanation),
        "local_head": (("Column", False), ("Value", False), ("SHAP", True), ("LIME", True)),
        "local_tables": [(local_caption(row), _fidelity(row), _local(row)) for row in explanation.local],
        **_classes(explanation),
    }


def _cut(count: int, most: int) -> str:
    return f"The first {most} of {number_text(count, 15)}." if count > most else ""


def _optional(value: float | None) -> str:
    return "" if value is None else number_text(value)


def _column(column: ColumnImportance) -> tuple[str, ...]:
    shuffled = _optional(column.permutation)
    if column.permutation_deviation is not None:
        shuffled += f" ± {number_text(column.permutation_deviation, 2)}"
    direction = DIRECTIONS[column.direction]
    if column.correlation is not None:
        direction += f" (Spearman {number_text(column.correlation, 2)})"
    return (
        column.name,
        column.kind,
        number_text(column.shap),
        f"{number_text(column.shap_low)} to {number_text(column.shap_high)}",
        percent_text(column.share),
        shuffled,
        direction,
    )


def _effects(explanation: ModelExplanation) -> Iterator[tuple[str, ...]]:
    for column in explanation.columns[:MOST_EFFECTS]:
        for effect in column.effects:
            yield column.name, effect.value, number_text(effect.rows, 15), signed_text(effect.effect)


def _classes(explanation: ModelExplanation) -> dict[str, object]:
    if explanation.confusion is None:
        return {}
    counted = explanation.confusion
    order = sorted(range(len(counted.classes)), key=lambda at: -counted.results[at].rows)
    kept = sorted(order[:MOST_CLASSES])
    head = (("Actual", False), *((f"predicted {counted.classes[at]}", True) for at in kept), ("Rows", True))
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
        "confusion_head": head,
        "confusion_rows": rows,
        "confusion_note": _cut(len(counted.classes), MOST_CLASSES).replace("first", "largest"),
        "class_head": (("Class", False), ("Test rows", True), ("Recall", True), ("Precision", True)),
        "class_rows": by_class,
    }


def _ratio(part: int, whole: int) -> str:
    return f"{percent_text(part / whole)} ({part:,} of {whole:,})" if whole else "not defined (no rows)"


def _groups(explanation: ModelExplanation) -> Iterator[tuple[str, Head, Rows]]:
    for column in dict.fromkeys(group.column for group in explanation.groups):
        groups = [group for group in explanation.groups if group.column == column]
        measures = list(dict.fromkeys(name for group in groups for name in group.values))
        head: Head = (("Group", False), ("Test rows", True), *((name, True) for name in measures))
        rows = [
            (
                f"{group.group} *" if group.small else group.group,
                number_text(group.rows, 15) if group.rows else f"fewer than {SUPPRESSED_BELOW}",
                *(
                    "not shown" if (value := group.values.get(name)) is None else number_text(value)
                    for name in measures
                ),
            )
            for group in groups
        ]
        yield column, head, rows


def _disparities(explanation: ModelExplanation) -> dict[str, object]:
    """Clear differences between groups, the surest first; and all of them, for experts."""
    compared = [one for one in explanation.disparities if one.value is not None]
    clear = sorted((one for one in compared if one.clear), key=lambda one: one.p_adjusted or 0.0)
    return {
        "compared": len([one for one in compared if not one.too_few]),
        "clear_rows": [_disparity(one) for one in clear[:MOST_COLUMNS]],
        "clear_note": _cut(len(clear), MOST_COLUMNS),
        "disparity_rows": [_disparity(one) for one in compared[:MOST_DISPARITIES]],
        "disparity_note": _cut(len(compared), MOST_DISPARITIES),
    }


def _disparity(one: Disparity) -> tuple[str, ...]:
    known = one.low is not None and one.high is not None
    interval = f"{number_text(one.low or 0.0)} to {number_text(one.high or 0.0)}" if known else one.note
    return (
        one.column,
        f"{one.group} *" if one.too_few else one.group,
        one.reference,
        one.measure if one.outcome is None else f"{one.measure} of {one.outcome}",
        number_text(one.value or 0.0),
        interval,
        number_text(one.equal),
        "" if one.p_adjusted is None else "< 0.001" if one.p_adjusted < 0.001 else number_text(one.p_adjusted, 2),
    )


def _renamed_baseline(explanation: ModelExplanation) -> Figure:
    baseline = explanation.baseline_score
    return baseline.model_copy(update={"name": f"{baseline.name} of the baseline, {explanation.baseline_algorithm}"})


def _score(figure: Figure) -> tuple[str, ...]:
    return figure.name, number_text(figure.value, 4), _optional(figure.low), _optional(figure.high)


def _trials(explanation: ModelExplanation) -> Iterator[tuple[str, ...]]:
    for trial in explanation.leaderboard[:MOST_TRIALS]:
        yield (
            str(trial.number),
            f"{trial.algorithm} (baseline)" if trial.baseline else trial.algorithm,
            "" if trial.score is None else number_text(trial.score, 4),
            "" if trial.loss is None else number_text(trial.loss, 4),
            number_text(trial.seconds, 2),
            _parameters(trial.parameters),
            trial.note,
        )


def _parameters(parameters: dict[str, str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in parameters.items())


def _fidelity(row: LocalExplanation) -> str:
    return f"The linear model of LIME fits with R² = {number_text(row.lime_fidelity, 2)} around this row."


def _local(row: LocalExplanation) -> Rows:
    return [
        (part.column, part.value, signed_text(part.shap), "" if part.lime is None else signed_text(part.lime))
        for part in row.contributions
    ]


def _methods(explanation: ModelExplanation) -> Sequence[tuple[str, str]]:
    method = explanation.method
    held = "holds" if explanation.additivity_holds else "does not hold"
    return [
        ("SHAP values", f"{method.shap} (Lundberg and Lee 2017), summed over the features of each original column"),
        ("Explained output", method.output),
        ("Base value", ", ".join(number_text(base, 4) for base in method.base)),
        (
            "Additivity",
            f"{held}: largest error {number_text(method.additivity_error, 2)}, "
            f"accepted {number_text(method.additivity_tolerance, 2)}",
        ),
        ("Rows", f"{method.explained_rows:,} explained, {method.background_rows:,} as background"),
        ("Intervals of influence", f"percentile bootstrap, {method.bootstrap_draws:,} draws of rows, 95%"),
        (
            "Shuffling",
            f"{method.permutation_repeats} repeats, growth of the {method.permutation_loss} ± standard deviation",
        ),
        ("Partial dependence", "Friedman 2001, on up to 200 training rows"),
        (
            "LIME",
            f"Ribeiro et al. 2016: {method.lime_samples:,} perturbed rows, exponential kernel of width "
            f"{method.lime_kernel_width} times √columns, weighted ridge; contributions relative to the average row",
        ),
        ("Model", f"{explanation.algorithm}: {_parameters(explanation.parameters) or 'no parameters'}"),
        ("Seed", str(method.seed)),
        ("Versions", ", ".join(f"{name} {number}" for name, number in method.versions.items())),
        ("Schema", explanation.schema_version),
    ]
