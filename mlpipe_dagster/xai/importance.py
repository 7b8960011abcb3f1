"""Which columns matter, how surely, and in which direction: global importance from SHAP values and by shuffling.

References: Lundberg and Lee 2017; Breiman 2001 and Fisher, Rudin and Dominici 2019 for shuffling.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from mlpipe_dagster.xai.attribution import Attribution
from mlpipe_dagster.xai.dependence import explained_class
from mlpipe_dagster.xai.explanation import ColumnImportance, ValueEffect
from mlpipe_dagster.xai.pieces import Agreement, Direction, How, Output
from mlpipe_dagster.xai.subject import Subject, losses
from mlpipe_dagster.xai.values import MISSING_TEXT, Floats, all_shown, date_text, in_numbers

BOOTSTRAP_DRAWS = 1000
PERMUTATION_REPEATS = 3
PERMUTATION_ROWS = 1000
PERMUTATION_COLUMNS = 30
MOST_EFFECTS = 8
TOP = 5
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
    lows, highs = np.percentile(bootstrapped(strength, subject.seed), [2.5, 97.5], axis=0)
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


def bootstrapped(strength: Floats, seed: int) -> Floats:
    """draws x columns: each column's mean over resampled rows of `strength` (rows x columns)."""
    rows = len(strength)
    generator = np.random.default_rng(seed)
    drawn = (np.bincount(generator.integers(rows, size=rows), minlength=rows) for _ in range(BOOTSTRAP_DRAWS))
    return np.array([times @ strength for times in drawn], dtype=np.float64) / rows


def shuffled_losses(subject: Subject, columns: tuple[str, ...]) -> dict[str, Shuffled]:
    """Growth of the mean loss (log loss; for regression RMSE) on test rows, for each shuffled column."""
    generator = np.random.default_rng(subject.seed)
    whole = len(subject.tested)
    wanted = min(whole, PERMUTATION_ROWS)
    count = subject.budget.afford("permutation", wanted, PERMUTATION_REPEATS * len(columns), least=min(25, wanted))
    how: How = "left out" if not count else "exact" if count == len(subject.test) else "sampled"
    subject.budget.did("permutation", how, count, len(subject.test) if count else 0)
    kept = generator.permutation(whole)[:count]
    truth = subject.truth[subject.tested[kept]]
    before = _mean_loss(truth, subject.predicted[subject.tested[kept]]) if count else 0.0
    found = {}
    for name in columns if count else ():
        grown = []
        for _ in range(PERMUTATION_REPEATS):
            places = subject.pool.rows(kept)
            places[:, subject.pool.at(name)] = generator.permutation(kept)
            grown.append(_mean_loss(truth, subject.pool.ask(subject.answers_of, places)) - before)
        found[name] = Shuffled(float(np.mean(grown)), float(np.std(grown, ddof=1)))
    return found


def agreement(first: dict[str, float], second: dict[str, float], top: int = TOP) -> Agreement:
    """Of two rankings (the higher the value the further up) over the columns both rank."""
    both = [name for name in first if name in second]
    one, other = np.array([first[name] for name in both]), np.array([second[name] for name in both])
    varies = len(both) > 2 and np.ptp(one) > 0 and np.ptp(other) > 0
    top = min(top, len(both))
    leaders = [{both[at] for at in np.argsort(-values, kind="stable")[:top]} for values in (one, other)]
    return Agreement(
        correlation=float(spearmanr(one, other).statistic) if varies else None,
        top=top,
        shared=len(leaders[0] & leaders[1]),
    )


def _mean_loss(truth: Floats, predicted: Floats) -> float:
    mean = float(losses(truth, predicted).mean())
    return mean if predicted.ndim == 2 else mean**0.5


def described_output(subject: Subject, attribution: Attribution) -> int:
    """The output that directions are about: the only one, or that of the class predicted most often."""
    return 0 if attribution.values.shape[2] == 1 else explained_class(subject) or 0


def output(subject: Subject, attribution: Attribution, at: int | None = None) -> Output:
    """What the SHAP values of output `at` (else of the described one) add up to."""
    if not subject.classes:
        return Output(scale=attribution.scale, of=subject.model.spec.target)
    if attribution.values.shape[2] == 1:
        return Output(scale=attribution.scale, of=subject.classes[subject.model.positive_code])
    return Output(
        scale=attribution.scale, of=subject.classes[described_output(subject, attribution) if at is None else at]
    )


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
    spans: dict[str, tuple[str, str]] = {}
    if numbers is None or len(np.unique(numbers[np.isfinite(numbers)])) < 4:
        labels = pd.Series(all_shown(column))
    else:
        thirds, spans = _thirds(numbers, subject.kinds[name])
        labels = pd.Series(thirds)
    frame = pd.DataFrame({"label": labels, "effect": attribution.values[:, at, described_output(subject, attribution)]})
    grouped = frame.groupby("label")["effect"].agg(["size", "mean"]).sort_values("size", ascending=False, kind="stable")
    kept = grouped.head(MOST_EFFECTS).sort_values("mean", ascending=False)
    return tuple(
        ValueEffect(
            value="" if str(label) in spans else str(label),
            span=spans.get(str(label)),
            rows=int(row["size"]),
            effect=float(row["mean"]),
        )
        for label, row in kept.iterrows()
    )


def _thirds(numbers: Floats, kind: str) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """A label for each number, and the span that each label stands for."""
    lower, upper = np.nanquantile(numbers, [1 / 3, 2 / 3])
    first, second = (date_text(end) if kind == "datetime" else f"{end:.4g}" for end in (lower, upper))
    spans = {"lower third": ("", first), "middle third": (first, second), "upper third": (second, "")}
    names = list(spans)
    labels = [
        MISSING_TEXT if np.isnan(value) else names[int(value > lower) + int(value > upper)]
        for value in numbers.tolist()
    ]
    return labels, spans
