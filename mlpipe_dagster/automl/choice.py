"""After the search: which candidate is taken. How it is fitted for the last time is in `last_fit.py`.

The choice is made on validation rows; the test split is not known here.
"""

from dataclasses import dataclass

import numpy as np

from mlpipe_dagster.automl.algorithms import CONSTANT, LINEAR
from mlpipe_dagster.automl.bench import Source, open_bench
from mlpipe_dagster.automl.fairness.frontier import Frontier
from mlpipe_dagster.automl.metrics import is_improvement
from mlpipe_dagster.automl.search import Candidate, Search, run_baselines
from mlpipe_dagster.bias.intervals import Z95

Z90 = 1.645
"""Standard errors that chance alone exceeds in 5 % of cases, to one side."""
MOST_CROSS_VALIDATED, CROSS_VALIDATED_FOLDS = 2_000, 5
"""Training rows, and folds, of the look whether a small table is learnable at all."""


@dataclass(frozen=True)
class Choice:
    """The candidate taken, the baseline to hold it against, and why."""

    taken: Candidate
    baseline: Candidate
    notes: tuple[str, ...]
    frontier: Frontier | None = None
    """The trade of a fairness constraint, where there is one."""
    unconstrained: Candidate | None = None
    """What would have been taken without it, where that is another."""


def choose(search: Search) -> Choice:
    """The best candidate, where it is better on validation rows than all that is simpler; else the simplest that is.

    Better is a lower log loss or RMSE: by more than chance (95 %) than a constant guess, since many are tried, unless
    more rows have shown before that the table is learnable; and than a linear model (95 %, to one side). Where nothing
    is better than a constant guess, that is taken, and said.
    """
    baselines = [candidate for candidate in search.candidates if candidate.trial.baseline and candidate.outcome]
    constant = next(candidate for candidate in baselines if candidate.algorithm is CONSTANT)
    errors = 0.0 if search.learnable else Z95
    useful = [c for c in search.candidates if c.algorithm is not CONSTANT and clearly_better(c, constant, errors)]
    if not useful:
        baseline = min((c for c in baselines if c is not constant), key=lambda c: c.loss, default=constant)
        return Choice(constant, baseline, (_nothing_better(search, constant),))
    taken, linear = min(useful, key=lambda c: c.loss), _best_linear(search)
    notes: tuple[str, ...] = ()
    if linear in useful and linear is not taken and not clearly_better(taken, linear, Z90):
        if taken.algorithm is not LINEAR:
            name = taken.algorithm.name
            notes = (f"{name} was not clearly better than a linear model on validation rows: linear is taken.",)
        taken = linear
    if taken.trial.baseline:
        notes = (*notes, f"The best baseline itself is taken ({taken.algorithm.name}): nothing beat it in validation.")
    baseline = min((c for c in baselines if c is not taken), key=lambda c: c.loss)
    return Choice(taken, baseline, notes)


def is_learnable(search: Search, source: Source) -> bool:
    """Whether a linear model beats a constant guess beyond chance in cross-validation of a small table.

    One hold-out of a few rows shows this only of what is very much better.
    """
    if len(source.rows) > MOST_CROSS_VALIDATED:
        return False
    bench = open_bench(source, search.clock.budget, search.seed, search.bench.mitigation, CROSS_VALIDATED_FOLDS)
    beside = Search(bench, search.clock, search.boosting, search.seed, search.threads)
    run_baselines(beside)
    constant, linear = beside.candidates
    return clearly_better(linear, constant, Z95)


def _nothing_better(search: Search, constant: Candidate) -> str:
    tried = min((c.loss for c in search.candidates if c is not constant), default=float("inf"))
    against = f" (loss {tried:.4g} against {constant.loss:.4g})" if np.isfinite(tried) else ""
    return (
        "Nothing that was tried predicts the validation rows better, beyond chance, than the same answer for every "
        f"row{against}. That constant guess is what is kept: it reads no column and tells no rows apart. "
        "Add rows or columns that say more about the target, or allow more time."
    )


def _best_linear(search: Search) -> Candidate | None:
    """The linear baseline, unless other settings are clearly better than its."""
    best = search.best(LINEAR.name)
    plain = next((c for c in search.candidates if c.trial.baseline and c.algorithm is LINEAR), None)
    return best if best is None or plain is None or clearly_better(best, plain) else plain


def clearly_better(candidate: Candidate, other: Candidate, errors: float = 1.0) -> bool:
    """Lower validation loss by more than so many standard errors of the paired difference."""
    if candidate.outcome is None or other.outcome is None:
        return False
    return is_improvement(candidate.outcome, other.outcome, errors)
