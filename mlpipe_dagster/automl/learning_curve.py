"""How the score grows with the rows that are learnt from: what is taken, fitted anew on parts of a fold's rows.

Every part is judged on the same validation rows, and its encoders see no more rows than it has.
"""

import time
from collections.abc import Iterator

from mlpipe_dagster.automl.algorithms import CONSTANT, FitData, Limits, predict
from mlpipe_dagster.automl.bench import random_rows
from mlpipe_dagster.automl.metrics import Outcome, improvement, loss, measure, row_losses, table_of
from mlpipe_dagster.automl.model import CurvePoint, LearningCurve
from mlpipe_dagster.automl.search import Candidate, Search
from mlpipe_dagster.bias.intervals import Z95

SHARES = (1 / 8, 1 / 4, 1 / 2)
WORTH_MORE_ROWS = 0.01
"""Of the mean loss of a row: less is not worth twice the rows."""
LEAST_ROWS = 20
"""Of a part: fewer say little of what a model can learn."""


def learning_curve(search: Search, taken: Candidate, seconds: float) -> LearningCurve | None:
    """The curve of what was taken, the last point all rows of the first fold; None where fewer than two parts can be
    fitted in about `seconds`, or more rows would change nothing."""
    if taken.algorithm is CONSTANT or not taken.algorithm.fitted_again:
        return None
    every = search.bench.data(taken.algorithm.family, 0)
    parts = list(_parts(search, taken, time.monotonic() + seconds))
    if len(parts) < 2:
        return None
    whole = _outcome(every, taken.first.estimator)
    saved, error = improvement(whole, parts[-1][1])
    mean_loss = float(row_losses(whole).mean())
    points = (*parts, (len(every.labels), whole))
    return LearningCurve(
        points=tuple(_point(rows, outcome, search.seed) for rows, outcome in points),
        validated_on=len(whole.truth),
        still_grows=saved > max(Z95 * error, WORTH_MORE_ROWS * mean_loss),
    )


def _parts(search: Search, taken: Candidate, ends_at: float) -> Iterator[tuple[int, Outcome]]:
    """Rows and outcome of each part, smallest first, until there is no time for the next."""
    bench, family = search.bench, taken.algorithm.family
    fitted_on = bench.folds[0][0]
    for share in SHARES:
        most = int(share * len(fitted_on))
        likely = share * (taken.fit_seconds + bench.encode_seconds)
        if most < LEAST_ROWS or time.monotonic() + likely > ends_at:
            continue
        rows = fitted_on[random_rows(bench.rows.labels[fitted_on], most, search.seed)]
        _, data = bench.encoded(family, rows, bench.folds[0][1])
        limits = Limits(ends_at, search.seed, search.threads)
        fitted = taken.algorithm.fit(taken.trial.parameters, data, limits)
        if not fitted.cut:
            yield len(rows), _outcome(data, fitted.estimator)


def _outcome(data: FitData, estimator: object) -> Outcome:
    return Outcome(data.truth_to_check(), predict(estimator, data.check_features))


def _point(rows: int, outcome: Outcome, seed: int) -> CurvePoint:
    name = next(iter(table_of(outcome)))
    return CurvePoint(rows=rows, score=measure(outcome, seed, only=name)[name], loss=loss(outcome))
