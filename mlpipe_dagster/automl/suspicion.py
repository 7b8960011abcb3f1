"""What makes a good score suspect: too good, one column alone, or far better in training than on the test rows.

Only said, never acted on. What the table itself gives away before training is in `bias/`.
"""

import numpy as np
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlpipe_dagster.automl.algorithms import predict
from mlpipe_dagster.automl.bench import Bench
from mlpipe_dagster.automl.clock import Clock
from mlpipe_dagster.automl.metrics import Outcome, loss
from mlpipe_dagster.automl.model import Estimate
from mlpipe_dagster.automl.preparation import feature_names

TOO_GOOD = 0.999
MOST_ROWS = 5_000
MOST_OF_IT = 0.95
"""Of what the model saves over a constant guess, one column alone suspiciously saves as much."""
GOOD = 0.5
"""A model that saves less than half of the constant's loss is not good enough to be suspect."""
GAP = 0.1
TIME_SHARE = 0.03


def too_good(test: Estimate, name: str) -> tuple[str, ...]:
    """A note where the score is almost perfect."""
    if test.value < TOO_GOOD:
        return ()
    return (
        f"A test {name} of {test.value:.3f} is almost perfect. Check that no column is known only after the target is.",
    )


def learnt_by_heart(training: Estimate, test: Estimate, name: str) -> tuple[str, ...]:
    """A note where training and test differ by more than 0.1 and beyond their intervals."""
    if training.value - test.value <= GAP or training.low <= test.high:
        return ()
    return (
        f"The {name} in training is {training.value:.3f}, on the test rows {test.value:.3f}: much of what the model "
        "has learnt holds for its training rows only. More rows or fewer columns help.",
    )


def one_column(bench: Bench, clock: Clock, model: Outcome, constant: Outcome, seed: int) -> tuple[str, ...]:
    """A note where a small tree on one column alone is almost as good as a good model, on validation rows."""
    data = bench.data("trees", 0)
    worst, reached = loss(constant), loss(model)
    if worst - reached < GOOD * worst or len(bench.schema.columns) < 2:
        return ()
    until = clock.elapsed() + clock.share(TIME_SHARE)
    kind = DecisionTreeRegressor if data.labels.dtype.kind == "f" else DecisionTreeClassifier
    rows = np.random.default_rng(seed).permutation(len(data.labels))[:MOST_ROWS]
    origins = np.array(feature_names(bench.schema, bench.pipeline("trees", 0, None).named_steps["features"])[1])
    for column in bench.schema.names:
        positions = np.flatnonzero(origins == column)
        if clock.elapsed() > until:
            return ()
        tree = kind(max_depth=4, min_samples_leaf=5, random_state=seed)
        tree.fit(data.features[np.ix_(rows, positions)], data.labels[rows])
        checked = Outcome(data.truth_to_check(), predict(tree, np.asarray(data.check_features)[:, positions]))
        if worst - loss(checked) > MOST_OF_IT * (worst - reached):
            return (
                f"“{column}” alone predicts nearly as well as all columns together. Check that it is known before the "
                "target is, and is not the target in another form.",
            )
    return ()
