"""SHAP values on the original columns, what they add up to, and which output of a model they are about.

How they come about is in `explainers.py` and the modules of each explainer. References: Lundberg and Lee 2017.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.model import TrainedModel
from mlpipe_dagster.xai.pieces import Note, Scale, ShapMethod
from mlpipe_dagster.xai.pool import Ask
from mlpipe_dagster.xai.values import Floats

TOLERANCE = 1e-5
"""Largest accepted additivity error, relative to the largest output (absolute where outputs are below 1)."""
FEWEST_ROWS = 25


@dataclass(frozen=True)
class Attribution:
    """SHAP values of some rows, on the original columns."""

    values: Floats
    """rows x columns x outputs."""
    base: Floats
    """The output before any column is known, one number for each output."""
    output: Floats
    """The model's own output for these rows: rows x outputs."""
    rows: pd.DataFrame
    columns: tuple[str, ...]
    """The original columns that reach the model, in table order."""
    scale: Scale
    """The unit of values, base and output."""
    method: ShapMethod
    ask: Ask
    """The explained output of encoded rows: rows x outputs (one output, or one for each of 3+ classes)."""
    background_rows: int = 0
    sampling_error: float | None = None
    """Standard error of a single value (root mean square) where values are sampled."""
    notes: tuple[Note, ...] = field(default=())

    @property
    def additivity_error(self) -> float:
        """Largest absolute difference between base + sum of the SHAP values and the model's own output."""
        return float(np.abs(self.base + self.values.sum(axis=1) - self.output).max())

    @property
    def tolerance(self) -> float:
        """What `additivity_error` may be at most."""
        return TOLERANCE * max(1.0, float(np.abs(self.output).max()))

    @property
    def additivity_holds(self) -> bool:
        """Whether the SHAP values and the base add up to the model's own output on every row."""
        return self.additivity_error <= self.tolerance


def about_positive(made: Attribution, model: TrainedModel) -> Attribution:
    """What was attributed, about the positive class of two: an explainer speaks of the second one."""
    if model.positive_code == 1 or made.values.shape[2] != 1:
        return made
    whole, ask = 1.0 if made.scale == "probability" else 0.0, made.ask
    return replace(
        made,
        values=-made.values,
        base=whole - made.base,
        output=whole - made.output,
        ask=lambda features: whole - ask(features),
    )


def chance_or_value(estimator: Pipeline) -> tuple[Ask, Scale]:
    """The model's probability (binary: of the second class; else of each class) or predicted value, and its name."""
    final = estimator[-1]
    if hasattr(final, "predict_proba"):
        return lambda features: outputs_of(final.predict_proba(features)), "probability"
    if is_classifier(final):
        return lambda features: outputs_of(final.decision_function(features)), "margin"
    return lambda features: outputs_of(final.predict(features)), "predicted value"


def outputs_of(answers: npt.ArrayLike) -> Floats:
    """rows x outputs of what a model answers; of two probabilities the second."""
    array = np.asarray(answers, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    return array[:, 1:] if array.shape[1] == 2 else array


def three_way(values: npt.ArrayLike) -> Floats:
    """rows x features x outputs of what an explainer returns."""
    array = np.asarray(values, dtype=np.float64)
    return array[:, :, None] if array.ndim == 2 else array


def by_column(made: Attribution) -> Attribution:
    """Values of features (their origins in `columns`) summed over the features of each original column."""
    values, base = made.values, made.base
    if values.shape[2] == 2:  # a binary forest answers for both classes; the second says it all
        values, base = values[:, :, 1:], base[1:]
    used = set(made.columns)
    columns = tuple(str(name) for name in made.rows.columns if name in used)
    where = {name: at for at, name in enumerate(columns)}
    summed = np.zeros((len(values), len(columns), values.shape[2]))
    for feature, origin in enumerate(made.columns):
        summed[:, where[origin]] += values[:, feature]
    return replace(made, values=summed, base=base, columns=columns)


def sampled(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    return rows if len(rows) <= most else rows.sample(most, random_state=seed)


def halved(count: int, affordable: Callable[[int], bool]) -> int:
    """`count`, halved until it is affordable, but not below 25 (or `count` itself)."""
    while count // 2 >= FEWEST_ROWS and not affordable(count):
        count //= 2
    return count
