"""LIME for tables: a weighted linear model around one row, as a second opinion beside SHAP.

Ribeiro, Singh and Guestrin 2016, "Why Should I Trust You?": perturb, weigh by an exponential kernel, fit a ridge.
Contributions are given relative to the average row, so that they stand on the same scale as SHAP values.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge

from mlpipe_dagster.automl.model import FeatureKind
from mlpipe_dagster.automl.preparation import as_text
from mlpipe_dagster.xai.values import Column, Floats, in_numbers

SAMPLES = 1000
KERNEL_WIDTH = 0.75
"""Times the square root of the number of columns, as in the authors' implementation."""
RIDGE_PENALTY = 1.0


@dataclass(frozen=True)
class LocalSurrogate:
    """The linear model that stands for the explained one around a row."""

    contributions: dict[str, float]
    """Slope times the row's distance from the average row, in the unit of the explained output."""
    slopes: dict[str, float]
    """Change of the output for one standard deviation (numbers), or for having the row's value at all (others)."""
    fidelity: float
    """Weighted R² of the linear model on the perturbed rows: near 1 it may be believed, near 0 not."""
    prediction: float
    """What the linear model says about the row."""


def explain_row(
    predict: Callable[[pd.DataFrame], Floats],
    row: pd.DataFrame,
    background: pd.DataFrame,
    kinds: Mapping[str, FeatureKind],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> LocalSurrogate:
    """The local linear model of `predict` (rows -> numbers) around `row`, one line, over the columns of `kinds`.

    Each column is perturbed by values drawn from `background`. Numbers and dates are standardised by the background;
    every other column counts as 1 where it has the row's value and 0 elsewhere.
    """
    columns = list(kinds)
    generator = np.random.default_rng(seed)
    perturbed = _perturbed(row, background, columns, samples, generator)
    coded = np.column_stack([_coded(perturbed[name], background[name], kind) for name, kind in kinds.items()])
    average = np.array([_average(row[name], background[name], kind) for name, kind in kinds.items()])
    distance = np.sqrt(np.sum((coded - coded[0]) ** 2, axis=1))
    weights = np.exp(-(distance**2) / (KERNEL_WIDTH**2 * len(columns)))
    answers = np.asarray(predict(perturbed), dtype=np.float64)
    surrogate = Ridge(alpha=RIDGE_PENALTY).fit(coded, answers, sample_weight=weights)
    slopes = np.asarray(surrogate.coef_, dtype=np.float64)
    fitted = surrogate.predict(coded)
    return LocalSurrogate(
        contributions=dict(zip(columns, (slopes * (coded[0] - average)).tolist(), strict=True)),
        slopes=dict(zip(columns, slopes.tolist(), strict=True)),
        fidelity=_weighted_r2(answers, fitted, weights),
        prediction=float(fitted[0]),
    )


def _perturbed(
    row: pd.DataFrame, background: pd.DataFrame, columns: Sequence[str], samples: int, generator: np.random.Generator
) -> pd.DataFrame:
    """The row itself, then `samples` rows whose columns are drawn one by one from the background."""
    both = pd.concat([row, background])
    made = both.iloc[np.zeros(samples + 1, dtype=int)].reset_index(drop=True)
    for name in columns:
        drawn = generator.integers(1, len(both), size=samples)
        made[name] = both[name].take(np.concatenate([[0], drawn])).reset_index(drop=True)
    return made


def _coded(values: Column, background: Column, kind: FeatureKind) -> Floats:
    """Values as the linear model sees them; the first is the explained row's own."""
    numbers, known = in_numbers(values, kind), in_numbers(background, kind)
    if numbers is None or known is None:
        texts = as_text(values)
        return np.asarray(texts == texts[0], dtype=np.float64)
    if np.isnan(known).all():
        return np.zeros(len(values))
    spread = float(np.nanstd(known))
    standard = (numbers - np.nanmean(known)) / (spread if spread > 0 else 1.0)
    return np.nan_to_num(standard, nan=0.0)


def _average(own: Column, background: Column, kind: FeatureKind) -> float:
    """The average background row, coded."""
    both = pd.concat([own, background])
    return float(_coded(both, background, kind)[1:].mean())


def _weighted_r2(answers: Floats, fitted: Floats, weights: Floats) -> float:
    centre = np.average(answers, weights=weights)
    total = float(np.sum(weights * (answers - centre) ** 2))
    if total <= 1e-12 * max(float(np.sum(weights)), 1.0):
        return 1.0  # the model answers the same everywhere near the row, and so does the line
    return 1.0 - float(np.sum(weights * (answers - fitted) ** 2)) / total
