"""Explain a trained model, and the table it came from: everything the three pages of each show, computed once.

`explain_model` and `explain_data` are the ways in; the parts are in the modules beside this one, the pages in
`reports/explanations.py`.
"""

import platform
from collections import Counter
from collections.abc import Collection, Sequence
from importlib.metadata import version

import numpy as np
import pandas as pd

from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai import lime, performance, summary
from mlpipe_dagster.xai.attribution import Attribution, about_positive
from mlpipe_dagster.xai.calibration import calibration, thresholds
from mlpipe_dagster.xai.counterfactuals import counterfactual
from mlpipe_dagster.xai.data_explanation import DataExplanation, Drift, Relation
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
from mlpipe_dagster.xai.pieces import Agreement, How, Note
from mlpipe_dagster.xai.relations import ROWS, compared, drift, relations, sampled
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


def said(text: str) -> Note:
    """A sentence that others wrote, as a note."""
    return Note(key="said", values={"text": text})


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


def explain_data(
    profile: Profile,
    *,
    target: str | None,
    task: TaskKind | None,
    bias: BiasReport | None,
    table: pd.DataFrame | None = None,
    test_rows: Sequence[int] = (),
    seed: int = 0,
) -> DataExplanation:
    """Explain a table: contents, gaps, target, suspicious columns, and what `bias` found, where it was measured.

    With the `table` itself also what relates to the target, and, with the positions of a model's `test_rows`, how
    these differ from the rows it learned from.
    """
    rows, columns = profile.row_count, profile.columns
    missing, cells = sum(column.missing for column in columns), rows * len(columns)
    aim = profile.column(target) if target else None
    values = summary.target_values(aim, task)
    known = rows - aim.missing if aim else 0
    sizes = [count for _, count in values]
    related, differing, compared = _compared(profile, target, task, table, test_rows, seed)
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
        relations=related,
        relations_rows=min(rows, ROWS) if related else 0,
        drift=differing,
        drift_rows=compared if differing else None,
        suspicions=(*summary.leaking(related, bias), *summary.suspicions(profile, target)),
        bias_measured=bias is not None,
        bias_verdict=bias.verdict if bias else "",
        bias_findings=summary.bias_findings(bias) if bias else (),
        sensitive=summary.sensitive_columns(bias) if bias else (),
        notes=tuple(said(note) for note in profile.notes),
    )


def _compared(
    profile: Profile,
    target: str | None,
    task: TaskKind | None,
    table: pd.DataFrame | None,
    test_rows: Sequence[int],
    seed: int,
) -> tuple[tuple[Relation, ...], tuple[Drift, ...], tuple[int, int]]:
    """Relations to the target, drift between the splits, and the rows of these."""
    if table is None:
        return (), (), (0, 0)
    others = compared(profile, {target} if target else ())
    related = relations(sampled(table, seed), others, target, task, seed) if target and task else ()
    inside = np.zeros(len(table), dtype=bool)
    inside[list(test_rows)] = True
    learned, tested = sampled(table[~inside], seed), sampled(table[inside], seed)
    return related, drift(learned, tested, others), (len(learned), len(tested))
