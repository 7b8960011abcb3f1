"""Which columns matter, how surely, and in which direction: global importance from SHAP values and by shuffling.

References: Lundberg and Lee 2017; Breiman 2001 and Fisher, Rudin and Dominici 2019 for shuffling.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from mlpipe_dagster.xai.attribution import Attribution
from mlpipe_dagster.xai.dependence import explained_class
from mlpipe_dagster.xai.explanation import ColumnImportance, Direction, ValueEffect
from mlpipe_dagster.xai.subject import Subject, answers, losses
from mlpipe_dagster.xai.values import MISSING_TEXT, Floats, date_text, in_numbers, shown

BOOTSTRAP_DRAWS = 1000
PERMUTATION_REPEATS = 3
PERMUTATION_ROWS = 1000
PERMUTATION_COLUMNS = 30
MOST_EFFECTS = 8
CLEAR_CORRELATION = 0.6


@dataclass(frozen=True)
class Shuffled:
    """How much the loss grows when a column is shuffled."""

    mean: float
    deviation: float


def column_importances(subject: Subject, attribution: Attribution) -> tuple[ColumnImportance, ...]:
    """Every column that reaches the model, most important first."""
    strength = np.abs(attribution.values).mean(axis=2)
    means = strength.mean(axis=0)
    lows, highs = _bootstrap(strength, subject.seed)
    order = np.argsort(-means, kind="stable")
    shuffled = {attribution.columns[at]: None for at in order[:PERMUTATION_COLUMNS]}
    measured = shuffled_losses(subject, tuple(shuffled))
    total = float(means.sum())
    found = []
    for at in order:
        name = attribution.columns[at]
        direction, correlation = _direction(subject, attribution, at)
        loss = measured.get(name)
        found.append(
            ColumnImportance(
                name=name,
                kind=subject.kinds[name],
                shap=float(means[at]),
                shap_low=float(lows[at]),
                shap_high=float(highs[at]),
                share=float(means[at]) / total if total > 0 else 0.0,
                permutation=loss.mean if loss else None,
                permutation_deviation=loss.deviation if loss else None,
                direction=direction,
                correlation=correlation,
                effects=() if name in subject.hidden else _effects(subject, attribution, at),
                hidden=name in subject.hidden,
            )
        )
    return tuple(found)


def _bootstrap(strength: Floats, seed: int) -> tuple[Floats, Floats]:
    """95 % percentile interval of each column's mean over resampled rows."""
    rows = len(strength)
    generator = np.random.default_rng(seed)
    weights = generator.multinomial(rows, np.full(rows, 1 / rows), size=BOOTSTRAP_DRAWS) / rows
    low, high = np.percentile(weights @ strength, [2.5, 97.5], axis=0)
    return np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)


def shuffled_losses(subject: Subject, columns: tuple[str, ...]) -> dict[str, Shuffled]:
    """Growth of the mean loss (log loss; for regression RMSE) on test rows, for each shuffled column."""
    generator = np.random.default_rng(subject.seed)
    kept = generator.permutation(len(subject.test))[:PERMUTATION_ROWS]
    rows, truth = subject.test.iloc[kept], subject.truth[kept]
    before = _mean_loss(truth, subject.predicted[kept])
    found = {}
    for name in columns:
        grown = []
        for _ in range(PERMUTATION_REPEATS):
            order = generator.permutation(len(rows))
            changed = rows.assign(**{name: rows[name].take(order).set_axis(rows.index)})
            grown.append(_mean_loss(truth, answers(subject.model, changed)) - before)
        found[name] = Shuffled(float(np.mean(grown)), float(np.std(grown, ddof=1)))
    return found


def _mean_loss(truth: Floats, predicted: Floats) -> float:
    mean = float(losses(truth, predicted).mean())
    return mean if predicted.ndim == 2 else mean**0.5


def described_output(subject: Subject, attribution: Attribution) -> int:
    """The output that directions are about: the only one, or that of the class predicted most often."""
    return 0 if attribution.values.shape[2] == 1 else explained_class(subject) or 0


def _direction(subject: Subject, attribution: Attribution, at: int) -> tuple[Direction, float | None]:
    """What higher numbers do to the described output."""
    name = attribution.columns[at]
    values = attribution.values[:, at, described_output(subject, attribution)]
    numbers = in_numbers(attribution.rows[name], subject.kinds[name])
    if not np.abs(attribution.values[:, at]).max() > 0:
        return "none", None
    if numbers is None:
        return "by value", None
    known = np.isfinite(numbers)
    if known.sum() < 3 or np.ptp(numbers[known]) == 0 or np.ptp(values[known]) == 0:
        return "mixed", None
    correlation = float(spearmanr(numbers[known], values[known]).statistic)
    if abs(correlation) < CLEAR_CORRELATION:
        return "mixed", correlation
    return ("raises" if correlation > 0 else "lowers"), correlation


def _effects(subject: Subject, attribution: Attribution, at: int) -> tuple[ValueEffect, ...]:
    """Mean SHAP value, for the described output, of each value of a category or each third of the numbers."""
    name = attribution.columns[at]
    column = attribution.rows[name]
    numbers = in_numbers(column, subject.kinds[name])
    if numbers is None or len(np.unique(numbers[np.isfinite(numbers)])) < 4:
        labels = pd.Series([shown(value) for value in column])
    else:
        labels = pd.Series(_thirds(numbers, subject.kinds[name]))
    frame = pd.DataFrame({"label": labels, "effect": attribution.values[:, at, described_output(subject, attribution)]})
    grouped = frame.groupby("label")["effect"].agg(["size", "mean"]).sort_values("size", ascending=False, kind="stable")
    kept = grouped.head(MOST_EFFECTS).sort_values("mean", ascending=False)
    return tuple(
        ValueEffect(value=str(label), rows=int(row["size"]), effect=float(row["mean"]))
        for label, row in kept.iterrows()
    )


def _thirds(numbers: Floats, kind: str) -> list[str]:
    lower, upper = np.nanquantile(numbers, [1 / 3, 2 / 3])
    first, second = (date_text(end) if kind == "datetime" else f"{end:.4g}" for end in (lower, upper))
    names = (f"up to {first}", f"{first} to {second}", f"over {second}")
    return [
        MISSING_TEXT if np.isnan(value) else names[int(value > lower) + int(value > upper)]
        for value in numbers.tolist()
    ]
