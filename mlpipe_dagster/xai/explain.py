"""Explain a trained model: everything its three pages show, computed once.

The parts are in the modules beside this one, the table it came from in `explain_table.py`, the pages in
`reports/explanations.py`.
"""

import platform
from collections.abc import Collection, Sequence
from importlib.metadata import version

import pandas as pd

from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.xai import lime, performance
from mlpipe_dagster.xai.attribution import Attribution, about_positive
from mlpipe_dagster.xai.calibration import calibration, thresholds
from mlpipe_dagster.xai.counterfactuals import counterfactual
from mlpipe_dagster.xai.dependence import dependences, explained_class
from mlpipe_dagster.xai.explainers import attribute
from mlpipe_dagster.xai.explanation import ColumnImportance, Counterfactual, LocalExplanation, Method, ModelExplanation
from mlpipe_dagster.xai.importance import (
    BOOTSTRAP_DRAWS,
    PERMUTATION_COLUMNS,
    PERMUTATION_REPEATS,
    agreement,
    column_importances,
    output,
)
from mlpipe_dagster.xai.interactions import interactions
from mlpipe_dagster.xai.local import local_explanations
from mlpipe_dagster.xai.pieces import Agreement, How, Note, said
from mlpipe_dagster.xai.stability import compactness, stability
from mlpipe_dagster.xai.subject import SECONDS, Subject, subject
from mlpipe_dagster.xai.surrogate import surrogate
from mlpipe_dagster.xai.weak_segments import weak_segments

COUNTERFACTUAL_ANSWERS = 3_000
DEPENDENCE_COLUMNS = 6
_LIBRARIES = ("shap", "scikit-learn", "lightgbm", "numpy", "pandas")


def explain_model(
    model: TrainedModel,
    table: pd.DataFrame,
    *,
    seed: int = 0,
    seconds: float = SECONDS,
    max_rows: int = 5_000,
    hide: Collection[str] = (),
    keep: Collection[str] = (),
    rows: Sequence[int] = (),
) -> ModelExplanation:
    """Explain `model` on the test rows of `table`, the table it was trained from, in about `seconds`.

    At most `max_rows` test rows get SHAP values (fewer where the model is slow; the explanation says so). Values of
    the columns in `hide`, which identify people, appear nowhere; no counterfactual changes those or the ones in
    `keep`. `rows` are positions in the table of further rows to explain. The same seed gives the same explanation on
    any machine that is fast enough for all of it.

    Raises
    ------
    ModelError
        The table is not the one the model was trained from, lacks one of `rows`, or no test row has a known target.
    """
    if unknown := [row for row in rows if not 0 <= row < len(table)]:
        raise ModelError(f"The table has no row {unknown[0] + 1}: its {len(table):,} rows are counted from 1.")
    asked = subject(model, table, hide=hide, keep=keep, seed=seed, seconds=seconds)
    tested = asked.pool.frame.iloc[: len(asked.tested)]
    explained = tested if len(tested) <= max_rows else tested.sample(max_rows, random_state=seed)
    attribution = attribute(
        asked.estimator,
        explained,
        asked.background,
        model.feature_origins,
        seed=seed,
        seconds=asked.budget.share("shap"),
    )
    attribution = about_positive(attribution, model)
    how: How = "exact" if attribution.sampling_error is None and len(attribution.rows) == len(asked.test) else "sampled"
    asked.budget.did("shap", how, len(attribution.rows), len(asked.test), output(asked, attribution))
    columns = column_importances(asked, attribution)
    return _assembled(asked, attribution, columns, [str(name) for name in table.columns], rows)


def _assembled(
    asked: Subject,
    attribution: Attribution,
    columns: tuple[ColumnImportance, ...],
    table_columns: Sequence[str],
    rows: Sequence[int],
) -> ModelExplanation:
    model, names, class_ = asked.model, [column.name for column in columns], explained_class(asked)
    local = local_explanations(asked, attribution, rows)
    counted = performance.confusion(asked) if asked.classes else None
    right = sum(result.right for result in counted.results) if counted else None
    return ModelExplanation(
        target=model.spec.target,
        task=model.spec.task,
        classes=asked.classes,
        positive=model.positive_class,
        described=None if class_ is None else asked.classes[class_],
        algorithm=model.algorithm,
        parameters=performance.texts(model.parameters),
        trained_rows=model.trained_rows,
        test_rows=len(asked.test),
        held_out=model.held_out,
        score=performance.figure(model.metric_name, model.test_score),
        baseline_score=performance.figure(model.metric_name, model.baseline_score),
        baseline_algorithm=model.baseline_algorithm,
        beats_baseline=model.beats_baseline,
        is_baseline=model.is_baseline,
        scores=performance.scores(model),
        right=right,
        right_share=None if right is None else right / len(asked.test),
        guess_right=performance.guess_right(asked) if counted else None,
        columns=columns,
        unused_columns=tuple(name for name in table_columns if name not in {*names, model.spec.target}),
        importance_agreement=_importance_agreement(columns),
        compactness=compactness(attribution),
        stability=stability(asked, attribution),
        dependence=dependences(asked, names[:DEPENDENCE_COLUMNS]),
        interactions=interactions(asked, attribution, names),
        local=local,
        counterfactuals=_counterfactuals(asked, local, names),
        kept=tuple(name for name in names if name in asked.kept),
        surrogate=surrogate(asked, names),
        weak=weak_segments(asked, names),
        calibration=calibration(asked),
        thresholds=thresholds(asked),
        confusion=counted,
        residuals=None if counted else performance.residuals(asked),
        groups=model.group_metrics,
        disparities=model.fairness.disparities,
        frontier=model.frontier,
        leaderboard=performance.leaderboard(model),
        additivity_holds=attribution.additivity_holds,
        suspicions=performance.suspicions(model, names[0], columns[0].share) if columns else (),
        notes=(*_limits(asked, attribution), *attribution.notes, *(said(note) for note in model.notes)),
        method=_method(asked, attribution),
    )


def _importance_agreement(columns: Sequence[ColumnImportance]) -> Agreement | None:
    shuffled = {column.name: column.permutation for column in columns if column.permutation is not None}
    return agreement({column.name: column.shap for column in columns}, shuffled) if shuffled else None


def _counterfactuals(
    asked: Subject, local: Sequence[LocalExplanation], names: Sequence[str]
) -> tuple[Counterfactual, ...]:
    """Of each row that is explained; the parts of the table that identify people or are sensitive stay as they are."""
    training = asked.pool.frame.iloc[asked.learned]
    whole = pd.concat([asked.test, asked.training])
    whole = whole[~whole.index.duplicated()]
    wanted = asked.budget.afford("counterfactuals", len(local), COUNTERFACTUAL_ANSWERS)
    found = [
        counterfactual(
            asked.model, whole.loc[[row.position - 1]], training, names, keep=asked.kept, position=row.position
        )
        for row in local[:wanted]
    ]
    asked.budget.did("counterfactuals", "sampled" if wanted else "left out", wanted, len(local) if wanted else 0)
    return tuple(change for change in found if change)


def _method(asked: Subject, attribution: Attribution) -> Method:
    explained = output(asked, attribution)
    if attribution.values.shape[2] > 1:
        explained = explained.model_copy(update={"of": ""})
    return Method(
        shap=attribution.method,
        explained=explained,
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
        sampling_error=attribution.sampling_error,
        parts=tuple(asked.budget.parts),
        budget_seconds=asked.budget.seconds,
        seed=asked.seed,
        versions={"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    )


def _limits(asked: Subject, attribution: Attribution) -> tuple[Note, ...]:
    """What was left out or is shaky because of the number of rows and columns."""
    noted = []
    if len(attribution.rows) < len(asked.test):
        values: dict[str, str | int | float] = {"rows": len(attribution.rows), "of": len(asked.test)}
        noted.append(Note(key="rows_explained", values=values))
    if len(asked.test) < performance.FEW_TEST_ROWS:
        noted.append(Note(key="few_test_rows", values={"rows": len(asked.test)}))
    if len(attribution.columns) > PERMUTATION_COLUMNS:
        noted.append(Note(key="columns_shuffled", values={"columns": PERMUTATION_COLUMNS}))
    return tuple(noted)
