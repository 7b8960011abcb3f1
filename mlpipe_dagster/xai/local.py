"""Single rows explained by SHAP and LIME: a typical, a borderline and the most wrong one, and rows that are asked for.

Which rows are shown and why the model answers as it does; what would turn an answer is in `counterfactuals.py`.
"""

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from mlpipe_dagster.automl.model import FeatureKind, TrainedModel
from mlpipe_dagster.tables.personal import MASK
from mlpipe_dagster.xai.attribution import Attribution, about_positive
from mlpipe_dagster.xai.explainers import attribute
from mlpipe_dagster.xai.explanation import Contribution, LocalExplanation
from mlpipe_dagster.xai.importance import agreement
from mlpipe_dagster.xai.lime import LocalSurrogate, explain_row
from mlpipe_dagster.xai.pieces import How, Output, RowKind
from mlpipe_dagster.xai.pool import features_of
from mlpipe_dagster.xai.subject import Subject, answers, true_values
from mlpipe_dagster.xai.values import MISSING_TEXT, Floats, shown

MOST_CONTRIBUTIONS = 8
TOP = 3
LIME_COLUMNS = 200
"""With more columns a linear model of 1,000 rows says nothing."""


def local_explanations(
    subject: Subject, attribution: Attribution, positions: Sequence[int] = ()
) -> tuple[LocalExplanation, ...]:
    """The chosen test rows, each once with every reason it was chosen for; then the table's rows at `positions`."""
    chosen: dict[int, list[RowKind]] = {}
    for kind, position in _choices(subject).items():
        chosen.setdefault(position, []).append(kind)
    for position in positions:
        chosen.setdefault(position, []).append("asked for")
    rows = pd.concat([subject.test, subject.training])
    rows = rows[~rows.index.duplicated()].loc[list(chosen)]
    how: How = "exact" if attribution.sampling_error is None else "sampled"  # the explainer is the same
    subject.budget.did("local", how, len(rows), len(rows))
    return explain_rows(
        subject.model, rows, subject.background, list(chosen.values()), hidden=subject.hidden, seed=subject.seed
    )


def _choices(subject: Subject) -> dict[RowKind, int]:
    """Positions in the table. Numbers have no borderline row."""
    losses = subject.row_losses()
    middle = np.argsort(np.abs(losses - np.median(losses)), kind="stable")
    chosen: dict[RowKind, int] = {"typical": int(middle[0])}
    if subject.classes:
        ranked = np.sort(subject.predicted, axis=1)
        chosen["borderline"] = int(np.argmin(ranked[:, -1] - ranked[:, -2]))
    chosen["most wrong"] = int(np.argmax(losses))
    return {kind: int(subject.test.index[at]) for kind, at in chosen.items()}


def explain_rows(
    model: TrainedModel,
    rows: pd.DataFrame,
    background: pd.DataFrame,
    kinds: Sequence[Sequence[RowKind]],
    *,
    hidden: Collection[str] = (),
    seed: int = 0,
) -> tuple[LocalExplanation, ...]:
    """Each of `rows` (their index: the position in the table) explained against `background`.

    What is really so is told where the rows hold the target.
    """
    made = about_positive(attribute(model.estimator, rows, background, model.feature_origins, seed=seed), model)
    predicted = answers(model, rows)
    kept = [
        _explained(model, made, rows, background, predicted, at, kinds[at], hidden, seed) for at in range(len(rows))
    ]
    return tuple(kept)


def _explained(
    model: TrainedModel,
    made: Attribution,
    rows: pd.DataFrame,
    background: pd.DataFrame,
    predicted: Floats,
    at: int,
    kinds: Sequence[RowKind],
    hidden: Collection[str],
    seed: int,
) -> LocalExplanation:
    output = int(predicted[at].argmax()) if made.values.shape[2] > 1 else 0
    values, row = made.values[at, :, output], rows.iloc[[at]]
    lime = _lime(model, made, row, background, output, seed)
    order = np.argsort(-np.abs(values), kind="stable")
    kept = order[:MOST_CONTRIBUTIONS]
    shap = dict(zip(made.columns, np.abs(values).tolist(), strict=True))
    return LocalExplanation(
        kinds=tuple(kinds),
        position=int(row.index[0]) + 1,
        predicted=model.classes[int(predicted[at].argmax())] if model.classes else shown(float(predicted[at])),
        actual=_actual(model, row),
        probability=float(predicted[at].max()) if model.classes else None,
        explained=_output(model, made, output),
        base=float(made.base[output]),
        output=float(made.output[at, output]),
        contributions=tuple(
            Contribution(
                column=made.columns[column],
                value=MASK if made.columns[column] in hidden else shown(row[made.columns[column]].iloc[0]),
                shap=float(values[column]),
                lime=lime.contributions[made.columns[column]] if lime else None,
            )
            for column in kept
        ),
        rest=float(values[order[MOST_CONTRIBUTIONS:]].sum()),
        lime_fidelity=lime.fidelity if lime else None,
        lime_agreement=agreement(shap, {name: abs(value) for name, value in lime.contributions.items()}, TOP)
        if lime
        else None,
    )


def _actual(model: TrainedModel, row: pd.DataFrame) -> str:
    """What is true of the row, or `missing`."""
    if model.spec.target not in row.columns:
        return MISSING_TEXT
    truth = float(true_values(model, row[model.spec.target])[0])
    if not np.isfinite(truth):
        return MISSING_TEXT
    return model.classes[int(truth)] if model.classes else shown(truth)


def _output(model: TrainedModel, made: Attribution, output: int) -> Output:
    if not model.classes:
        return Output(scale=made.scale, of=model.spec.target)
    return Output(scale=made.scale, of=model.classes[model.positive_code if made.values.shape[2] == 1 else output])


def _lime(
    model: TrainedModel, made: Attribution, row: pd.DataFrame, background: pd.DataFrame, output: int, seed: int
) -> LocalSurrogate | None:
    if len(made.columns) > LIME_COLUMNS:
        return None
    known: dict[str, FeatureKind] = {column.name: column.kind for column in model.schema.columns}
    return explain_row(
        lambda rows: made.ask(features_of(model.estimator, rows, model.feature_origins))[:, output],
        row,
        background,
        {name: known[name] for name in made.columns},
        seed=seed,
    )
