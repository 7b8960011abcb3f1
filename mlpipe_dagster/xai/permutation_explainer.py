"""SHAP values of any model from sampled orders of the columns, with their standard error.

References: Štrumbelj and Kononenko 2014; antithetic pairs after Mitchell et al. 2022.
"""

import math
import time
from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mlpipe_dagster.xai.attribution import FEWEST_ROWS, Attribution, chance_or_value, halved, sampled
from mlpipe_dagster.xai.pieces import Note
from mlpipe_dagster.xai.pool import Ask, Places, Pool, features_of
from mlpipe_dagster.xai.values import Floats

PERMUTATION_BACKGROUND = 24
PERMUTATION_EVALUATIONS = 150_000


def explain_permutations(
    estimator: Pipeline,
    rows: pd.DataFrame,
    background: pd.DataFrame,
    origins: Sequence[str],
    *,
    seed: int = 0,
    seconds: float = math.inf,
) -> Attribution:
    """SHAP values from random orders of the original columns, for any model.

    For each background row one order of the columns is drawn; going through it, the columns of the background row
    are replaced one by one by those of the explained row, and every step's change is that column's. The steps of an
    order telescope, so additivity holds exactly; a column's own value is an estimate over as many orders as there are
    background rows. Orders come in antithetic pairs, whose spread gives the standard error. The number of rows is cut
    to keep within `PERMUTATION_EVALUATIONS` predictions and, as far as 25 rows allow, within `seconds`.
    """
    ask, scale = chance_or_value(estimator)
    generator = np.random.default_rng(seed)
    drawn = background.iloc[generator.permutation(len(background))[:PERMUTATION_BACKGROUND]]
    evaluations = len(drawn) * (len(set(origins)) + 1)
    kept = sampled(rows, max(PERMUTATION_EVALUATIONS // evaluations, FEWEST_ROWS), seed)
    pool = Pool.of(estimator, pd.concat([drawn, kept], join="inner"), origins)
    started = time.perf_counter()
    base = ask(pool.mixed(pool.rows(np.arange(len(drawn))))).mean(axis=0)
    each = (time.perf_counter() - started) / len(drawn)
    count = halved(len(kept), lambda rows_: rows_ * evaluations * each <= seconds)
    made = [_permuted(ask, pool, len(drawn), len(drawn) + row, generator) for row in range(count)]
    kept = kept.iloc[:count]
    return Attribution(
        values=np.array([values for values, _ in made]),
        base=base,
        output=ask(features_of(estimator, kept, origins)),
        rows=kept,
        columns=pool.columns,
        scale=scale,
        method="permutations",
        ask=ask,
        background_rows=len(drawn),
        sampling_error=float(np.sqrt(np.mean([variance for _, variance in made]))),
        notes=(Note(key="permutations", values={"orders": len(drawn)}),),
    )


def _permuted(ask: Ask, pool: Pool, orders: int, row: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """columns x outputs: the mean change of the output as each column of the pool's row replaces those of the
    background (the pool's first rows), and the squared standard error of that mean."""
    columns = len(pool.columns)
    order = _antithetic_orders(orders, columns, generator)
    ranks = np.argsort(order, axis=1)
    replaced = ranks[:, None, :] < np.arange(columns + 1)[None, :, None]
    places = np.where(replaced, row, np.arange(orders)[:, None, None]).astype(np.intp)
    answers = pool.ask(ask, places.reshape(-1, columns)).reshape(orders, columns + 1, -1)
    steps = np.take_along_axis(np.diff(answers, axis=1), ranks[:, :, None], axis=1)
    pairs = steps[: orders // 2 * 2].reshape(-1, 2, *steps.shape[1:]).mean(axis=1) if orders > 3 else steps
    return steps.mean(axis=0), pairs.var(axis=0, ddof=1 if len(pairs) > 1 else 0) / len(pairs)


def _antithetic_orders(count: int, columns: int, generator: np.random.Generator) -> Places:
    """`count` orders of the columns; every second one is the one before it, backwards."""
    forward = [generator.permutation(columns) for _ in range((count + 1) // 2)]
    return np.array([order[::step] for order in forward for step in (1, -1)][:count], dtype=np.intp)
