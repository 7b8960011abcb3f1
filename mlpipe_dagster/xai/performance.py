"""How good a model is on the rows it has not seen, in counts and errors a person can picture, and what is too good.

The scores and their intervals come with the model; here they are counted out, never recomputed another way.
"""

from typing import Literal

import numpy as np

from mlpipe_dagster.automl.model import Estimate, TrainedModel
from mlpipe_dagster.automl.preparation import as_number
from mlpipe_dagster.tables.profile import HistogramBin
from mlpipe_dagster.xai.pieces import Figure, Note
from mlpipe_dagster.xai.quality import ClassResult, Confusion, Residuals, TrialResult
from mlpipe_dagster.xai.subject import Subject
from mlpipe_dagster.xai.values import shown

NEAR_PERFECT = 0.99
DOMINANT_SHARE = 0.8
FEW_TEST_ROWS = 50
RESIDUAL_BINS = 20
Split = Literal["training", "validation", "test"]
_BEST_IS_ONE = ("accuracy", "ROC AUC", "balanced accuracy", "F1", "R²")


def figure(name: str, estimate: Estimate, split: Split | None = None) -> Figure:
    """An estimate under its name; an interval that is not defined is left out."""
    defined = np.isfinite(estimate.low) and np.isfinite(estimate.high)
    ends = (estimate.low, estimate.high) if defined else (None, None)
    return Figure(name=name, value=estimate.value, low=ends[0], high=ends[1], split=split)


def scores(model: TrainedModel) -> tuple[Figure, ...]:
    """Training and validation score, then every metric of the test split."""
    known: list[tuple[str, Estimate, Split]] = [
        (model.metric_name, model.training_score, "training"),
        (model.metric_name, model.validation_score, "validation"),
        *((name, estimate, "test") for name, estimate in model.metrics.items()),
    ]
    return tuple(figure(name, estimate, split) for name, estimate, split in known if np.isfinite(estimate.value))


def confusion(subject: Subject) -> Confusion:
    """Actual by predicted classes."""
    size = len(subject.classes)
    counts = np.zeros((size, size), dtype=np.intp)
    np.add.at(counts, (subject.truth.astype(np.intp), subject.choice), 1)
    results = [
        ClassResult(
            name=name, rows=int(counts[at].sum()), predicted=int(counts[:, at].sum()), right=int(counts[at, at])
        )
        for at, name in enumerate(subject.classes)
    ]
    return Confusion(
        classes=subject.classes,
        counts=tuple(tuple(int(count) for count in row) for row in counts),
        results=tuple(results),
    )


def guess_right(subject: Subject) -> int:
    """Test rows in the class that is most common among the other rows."""
    column = subject.training[subject.model.spec.target]
    labels = subject.labels(column)
    most = max(subject.classes, key=lambda name: int((labels == name).sum()))
    return int((subject.truth == subject.classes.index(most)).sum())


def residuals(subject: Subject) -> Residuals:
    """Errors of a model that predicts a number."""
    errors = subject.predicted - subject.truth
    size = np.abs(errors)
    known = as_number(subject.training[subject.model.spec.target])
    guess = float(np.nanmedian(known))
    counts, edges = np.histogram(errors, bins=RESIDUAL_BINS)
    return Residuals(
        median_absolute=float(np.median(size)),
        percentile_90=float(np.percentile(size, 90)),
        mean=float(errors.mean()),
        baseline_median_absolute=float(np.median(np.abs(subject.truth - guess))),
        within_10_percent=float((size <= 0.1 * np.abs(subject.truth)).mean()),
        target_minimum=float(subject.truth.min()),
        target_maximum=float(subject.truth.max()),
        histogram=tuple(
            HistogramBin(lower=float(edges[at]), upper=float(edges[at + 1]), count=int(count))
            for at, count in enumerate(counts)
        ),
    )


def leaderboard(model: TrainedModel) -> tuple[TrialResult, ...]:
    """Every trial; what was abandoned has no score."""
    return tuple(
        TrialResult(
            number=trial.number,
            algorithm=trial.algorithm,
            score=trial.score if trial.score is not None and np.isfinite(trial.score) else None,
            loss=trial.loss if np.isfinite(trial.loss) else None,
            seconds=trial.seconds,
            baseline=trial.baseline,
            note=trial.note,
            parameters=texts(trial.parameters),
        )
        for trial in model.leaderboard
    )


def texts(parameters: dict[str, int | float | str | bool | None]) -> dict[str, str]:
    """Parameters as text."""
    return {name: "none" if value is None else shown(value) for name, value in parameters.items()}


def suspicions(model: TrainedModel, leading: str, leading_share: float) -> tuple[Note, ...]:
    """What a careful reader would question: a score of 0.99 or more, and the column it may come from."""
    measured = {model.metric_name: model.test_score, **model.metrics}
    perfect = [name for name in _BEST_IS_ONE if name in measured and measured[name].value >= NEAR_PERFECT]
    if not perfect:
        return ()
    said = [Note(key="near_perfect", values={"score": measured[perfect[0]].value})]
    if leading_share >= DOMINANT_SHARE:
        said.append(Note(key="one_column", values={"column": leading}))
    return tuple(said)
