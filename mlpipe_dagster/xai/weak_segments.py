"""Where the model errs most: an error tree grown on one half of the test rows and measured on the other.

What is measured on rows the tree has not seen needs no correction for the search; the intervals are widened so that
all of them hold together.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import norm
from sklearn.tree import DecisionTreeRegressor

from mlpipe_dagster.xai.pieces import Figure
from mlpipe_dagster.xai.quality import Segment, WeakSegments
from mlpipe_dagster.xai.rules import Leaf, coded, leaves, places_of
from mlpipe_dagster.xai.subject import Subject
from mlpipe_dagster.xai.values import Floats

FEWEST_ROWS = 80
SMALLEST_SEGMENT = 20
SMALLEST_SHARE = 0.05
LEAVES = 6
DEPTH = 3
TOGETHER = 0.05


def weak_segments(subject: Subject, columns: Sequence[str]) -> WeakSegments | None:
    """The leaves of the error tree, worst first; None with fewer than 80 test rows or the same error on all."""
    order = np.random.default_rng(subject.seed).permutation(len(subject.tested))
    half = len(order) // 2
    errors = _errors(subject)[subject.tested]
    if len(order) < FEWEST_ROWS or np.ptp(errors[order[:half]]) == 0:
        subject.budget.did("weak segments", "left out")
        return None
    subject.budget.did("weak segments", "exact", len(order), len(subject.test))
    rows = subject.pool.frame.iloc[: len(subject.tested)]
    learned, measured = coded(subject, columns, rows.iloc[order[:half]], rows.iloc[order[half:]])
    smallest = max(SMALLEST_SEGMENT, int(SMALLEST_SHARE * half))
    tree = DecisionTreeRegressor(
        max_leaf_nodes=LEAVES, max_depth=DEPTH, min_samples_leaf=smallest, random_state=subject.seed
    ).fit(learned.matrix, errors[order[:half]])
    found = leaves(tree, subject, learned)
    at, seen = places_of(tree, measured), errors[order[half:]]
    confidence = 1 - TOGETHER / max(len(found), 1)
    overall = _interval(seen, bool(subject.classes), 0.95)
    segments = [
        _segment(leaf, seen[at == leaf.number], overall[0], bool(subject.classes), confidence)
        for leaf in found
        if (at == leaf.number).any()
    ]
    return WeakSegments(
        measure="share wrong" if subject.classes else "mean absolute error",
        overall=Figure(name="all", value=overall[0], low=overall[1], high=overall[2]),
        learned_rows=half,
        measured_rows=len(seen),
        confidence=confidence,
        segments=tuple(sorted(segments, key=lambda segment: -segment.error)),
    )


def _errors(subject: Subject) -> Floats:
    """1 for a wrong class, or the absolute error, of each test row."""
    if subject.classes:
        return np.asarray(subject.choice != subject.truth, dtype=np.float64)
    return np.asarray(np.abs(subject.predicted - subject.truth))


def _segment(leaf: Leaf, errors: Floats, overall: float, share: bool, confidence: float) -> Segment:
    value, low, high = _interval(errors, share, confidence)
    return Segment(conditions=leaf.conditions, rows=len(errors), error=value, low=low, high=high, worse=low > overall)


def _interval(errors: Floats, share: bool, confidence: float) -> tuple[float, float, float]:
    """Mean with Wilson's interval for shares, else the normal one of a mean."""
    z, rows, mean = float(norm.ppf(0.5 + confidence / 2)), len(errors), float(errors.mean())
    if share:
        spread = z * z / rows
        centre = (mean + spread / 2) / (1 + spread)
        half = z / (1 + spread) * (mean * (1 - mean) / rows + spread / (4 * rows)) ** 0.5
        return mean, max(centre - half, 0.0), min(centre + half, 1.0)
    half = z * float(errors.std(ddof=1)) / rows**0.5 if rows > 1 else mean
    return mean, max(mean - half, 0.0), mean + half
