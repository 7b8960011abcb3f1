"""From which probability on a row counts as positive, for goals that people state. Two classes only.

Chosen on validation rows, measured on test rows: both are shown, and nothing of the model changes.
"""

from collections.abc import Callable

import numpy as np

from mlpipe_dagster.automl.metrics import Floats, Outcome, wilson
from mlpipe_dagster.automl.model import Threshold

Rates = dict[str, Floats]
MOST_THRESHOLDS = 500


def _rates(truth: Floats, chance: Floats, thresholds: Floats) -> Rates:
    """Of each threshold; a rate over no rows is 0."""
    order = np.argsort(chance)
    hits = np.concatenate([np.cumsum(truth[order][::-1])[::-1], [0]])
    at = np.searchsorted(chance[order], thresholds, side="left")
    chosen, positives, rows = len(chance) - at, truth.sum(), len(truth)
    found = hits[at]
    precision, recall = found / np.maximum(chosen, 1), found / max(positives, 1)
    specificity = 1 - (chosen - found) / max(rows - positives, 1)
    f1 = 2 * found / np.maximum(chosen + positives, 1)
    return {"precision": precision, "recall": recall, "balanced accuracy": (recall + specificity) / 2, "F1": f1}


def _best(name: str) -> Callable[[Rates], int | None]:
    return lambda rates: int(np.argmax(rates[name]))


def _at_least(held: str, least: float, most_of: str) -> Callable[[Rates], int | None]:
    def choose(rates: Rates) -> int | None:
        able = np.flatnonzero(rates[held] >= least)
        return int(able[np.argmax(rates[most_of][able])]) if len(able) else None

    return choose


GOALS: dict[str, Callable[[Rates], int | None]] = {
    "best balanced accuracy": _best("balanced accuracy"),
    "best F1": _best("F1"),
    "find at least 90 % of the positives": _at_least("recall", 0.9, "precision"),
    "be right in at least 90 % of the alarms": _at_least("precision", 0.9, "recall"),
}


def thresholds(validated: Outcome, test: Outcome) -> tuple[Threshold, ...]:
    """A threshold for each goal that one reaches on validation rows; none for other than two classes."""
    if validated.predicted.ndim != 2 or validated.predicted.shape[1] != 2:
        return ()
    chance = validated.predicted[:, 1]
    candidates = np.unique(np.quantile(chance, np.linspace(0, 1, MOST_THRESHOLDS), method="nearest"))
    rates = _rates(validated.truth, chance, candidates)
    chosen = {goal: choose(rates) for goal, choose in GOALS.items()}
    found = {goal: float(candidates[at]) for goal, at in chosen.items() if at is not None}
    return tuple(_measured(goal, threshold, test) for goal, threshold in found.items())


def _measured(goal: str, threshold: float, test: Outcome) -> Threshold:
    alarms, positive = test.predicted[:, 1] >= threshold, test.truth == 1
    hits = int((alarms & positive).sum())
    return Threshold(
        goal=goal,
        threshold=threshold,
        recall=wilson(hits / positive.sum(), int(positive.sum())) if positive.any() else None,
        precision=wilson(hits / alarms.sum(), int(alarms.sum())) if alarms.any() else None,
        alarms=float(alarms.mean()),
    )
