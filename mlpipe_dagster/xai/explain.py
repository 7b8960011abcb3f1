"""Explain a trained model, and the table it came from: everything the three pages of each show, computed once.

`explain_model` and `explain_data` are the ways in; the parts are in the modules beside this one, the pages in
`reports/explanations.py`.
"""

import platform
from collections import Counter
from collections.abc import Collection, Sequence
from importlib.metadata import version

import pandas as pd

from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai import lime, performance, summary
from mlpipe_dagster.xai.attribution import Attribution, attribute
from mlpipe_dagster.xai.dependence import dependences, explained_class
from mlpipe_dagster.xai.explanation import ColumnImportance, DataExplanation, Method, ModelExplanation
from mlpipe_dagster.xai.importance import (
    BOOTSTRAP_DRAWS,
    PERMUTATION_COLUMNS,
    PERMUTATION_REPEATS,
    column_importances,
)
from mlpipe_dagster.xai.local import counterfactual, local_explanations, output_name
from mlpipe_dagster.xai.subject import Subject, subject

DEPENDENCE_COLUMNS = 6
_LIBRARIES = ("shap", "scikit-learn", "lightgbm", "numpy", "pandas")


def explain_model(
    model: TrainedModel, table: pd.DataFrame, *, seed: int = 0, max_rows: int = 2000, hide: Collection[str] = ()
) -> ModelExplanation:
    """Explain `model` on the test rows of `table`, the table it was trained from.

    At most `max_rows` test rows get SHAP values (fewer where the model is slow; the notes say so). Values of the
    columns in `hide`, which identify people, appear nowhere. The same seed gives the same explanation.

    Raises
    ------
    ModelError
        The table is not the one the model was trained from, or no test row has a known target.
    """
    asked = subject(model, table, hide=hide, seed=seed)
    rows = asked.test if len(asked.test) <= max_rows else asked.test.sample(max_rows, random_state=seed)
    attribution = attribute(asked.estimator, rows, asked.background, model.feature_origins, seed=seed)
    columns = column_importances(asked, attribution)
    return _assembled(asked, attribution, columns, [str(name) for name in table.columns])


def _assembled(
    asked: Subject, attribution: Attribution, columns: tuple[ColumnImportance, ...], table_columns: Sequence[str]
) -> ModelExplanation:
    model, names, described = asked.model, [column.name for column in columns], explained_class(asked)
    local = local_explanations(asked, attribution)
    counted = performance.confusion(asked) if asked.classes else None
    right = sum(result.right for result in counted.results) if counted else None
    return ModelExplanation(
        target=model.spec.target,
        task=model.spec.task,
        classes=asked.classes,
        positive=model.positive_class,
        described=None if described is None else asked.classes[described],
        algorithm=model.algorithm,
        parameters=performance.texts(model.parameters),
        trained_rows=model.trained_rows,
        test_rows=len(asked.test),
        held_out=model.held_out,
        score=performance.figure(model.metric_name, model.test_score),
        baseline_score=performance.figure(model.metric_name, model.baseline_score),
        baseline_algorithm=model.baseline_algorithm,
        beats_baseline=model.beats_baseline,
        scores=performance.scores(model),
        right=right,
        right_share=None if right is None else right / len(asked.test),
        guess_right=performance.guess_right(asked) if counted else None,
        columns=columns,
        unused_columns=tuple(name for name in table_columns if name not in {*names, model.spec.target}),
        dependence=dependences(asked, names[:DEPENDENCE_COLUMNS]),
        local=local,
        counterfactual=counterfactual(asked, local, names),
        confusion=counted,
        residuals=None if counted else performance.residuals(asked),
        groups=performance.groups(model),
        disparities=model.fairness.disparities,
        leaderboard=performance.leaderboard(model),
        method=_method(asked, attribution),
        additivity_holds=attribution.additivity_holds,
        suspicions=performance.suspicions(model, names[0], columns[0].share) if columns else (),
        notes=(*_limits(asked, attribution), *attribution.notes, *model.notes),
    )


def _method(asked: Subject, attribution: Attribution) -> Method:
    classes = attribution.values.shape[2] > 1
    return Method(
        shap=attribution.method,
        scale=attribution.scale,
        output=f"{attribution.scale} of each class" if classes else output_name(asked, attribution, 0),
        explained_rows=len(attribution.rows),
        background_rows=attribution.background_rows,
        base=tuple(float(base) for base in attribution.base),
        additivity_error=attribution.additivity_error,
        additivity_tolerance=attribution.tolerance,
        bootstrap_draws=BOOTSTRAP_DRAWS,
        permutation_repeats=PERMUTATION_REPEATS,
        permutation_loss="log loss" if asked.classes else "root mean squared error",
        lime_samples=lime.SAMPLES,
        lime_kernel_width=lime.KERNEL_WIDTH,
        seed=asked.seed,
        versions={"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    )


def _limits(asked: Subject, attribution: Attribution) -> tuple[str, ...]:
    """What was left out or is shaky because of the number of rows and columns."""
    said = []
    if len(attribution.rows) < len(asked.test):
        said.append(f"SHAP values were computed for {len(attribution.rows):,} of {len(asked.test):,} test rows.")
    if len(asked.test) < performance.FEW_TEST_ROWS:
        said.append(f"There are only {len(asked.test)} test rows: every number here can change a lot with other rows.")
    if len(attribution.columns) > PERMUTATION_COLUMNS:
        said.append(f"Shuffling was measured for the {PERMUTATION_COLUMNS} most important columns only.")
    return tuple(said)


def explain_data(
    profile: Profile, *, target: str | None, task: TaskKind | None, bias: BiasReport | None
) -> DataExplanation:
    """Explain a table: contents, gaps, target, suspicious columns, and what `bias` found, where it was measured."""
    rows, columns = profile.row_count, profile.columns
    missing, cells = sum(column.missing for column in columns), rows * len(columns)
    aim = profile.column(target) if target else None
    values = summary.target_values(aim, task)
    known = rows - aim.missing if aim else 0
    sizes = [count for _, count in values]
    return DataExplanation(
        target=target,
        task=task,
        row_count=rows,
        column_count=len(columns),
        duplicate_rows=profile.duplicate_rows,
        duplicate_share=profile.duplicate_rows / max(rows, 1),
        cells=cells,
        missing_cells=missing,
        missing_share=missing / max(cells, 1),
        kinds=dict(Counter(str(column.kind) for column in columns).most_common()),
        columns=tuple(summary.column_summary(column, rows) for column in columns),
        target_values=values,
        target_known=known,
        target_other=max(known - sum(sizes), 0) if values else 0,
        target_smallest_share=min(sizes) / known if sizes and known else None,
        target_largest_share=max(sizes) / known if sizes and known else None,
        target_histogram=aim.histogram if aim and not values else (),
        suspicions=tuple(summary.suspicions(profile, target)),
        bias_measured=bias is not None,
        bias_verdict=bias.verdict if bias else "",
        bias_findings=summary.bias_findings(bias) if bias else (),
        sensitive=summary.sensitive_columns(bias) if bias else (),
        notes=profile.notes,
    )
