"""How the time that is left is shared between the search and what follows it: constraint, last fits, curve, scores."""

from mlpipe_dagster.automl.choice import Choice
from mlpipe_dagster.automl.constrained import MOST_POINTS
from mlpipe_dagster.automl.finish import evaluation_seconds
from mlpipe_dagster.automl.job import Job
from mlpipe_dagster.automl.last_fit import expected_refit_seconds
from mlpipe_dagster.automl.search import Candidate, Search

MOST_RESERVED = 0.4
"""Of the budget, at most this is kept back from the search for the last fits and the evaluation."""
CURVE_SHARE, SAVING_SHARE = 0.06, 0.05
"""Of the budget, at most the first for the learning curve, and the second is left for saving."""
BASELINE_SHARE = 0.2
"""Of the time for the last fits, at most this is for the baseline's."""
RIVAL_SHARE = 0.4
"""Of the time for the last fits, this is for a quick rival of what was taken."""
PRICED_SHARE, LEAST_PRICED_SHARE = 0.25, 0.05
"""Of the budget, at most and at least this for fits that hold a fairness constraint."""
PRICED_BEFORE_LAST_FIT = 0.6
"""Of the time that is left before the evaluation, at least this: a fit of one fold holds the constraint as well."""
MEMBERS = 3
"""An ensemble, which may yet be taken, is fitted as many times as long as the best single candidate."""


def reserve(search: Search, job: Job, best: Candidate | None) -> float:
    """Seconds to keep from the search for what follows it."""
    refits = expected_refit_seconds(best, search, job.source) / (1 - BASELINE_SHARE) if best else 0.0
    wanted = refits + evaluation_seconds(search, best, job)
    prices = 0.0
    if job.spec.constraint and best:
        fits = MEMBERS * MOST_POINTS * len(search.bench.folds) * best.fit_seconds
        prices = min(PRICED_SHARE * search.clock.budget, LEAST_PRICED_SHARE * search.clock.budget + fits)
    return min(MOST_RESERVED * search.clock.budget, wanted) + prices + 0.03 * search.clock.budget


def priced_seconds(search: Search, choice: Choice, job: Job) -> float:
    """For fits under prices: what the last fit and the evaluation leave, and of these the last fit may be given up."""
    left = search.clock.left() - evaluation_seconds(search, choice.taken, job)
    return max(left - expected_refit_seconds(choice.taken, search, job.source), PRICED_BEFORE_LAST_FIT * left)


def curve_seconds(search: Search, choice: Choice, job: Job) -> float:
    """For the learning curve: what the evaluation and the saving leave, and not more than its share."""
    spare = search.clock.left() - evaluation_seconds(search, choice.taken, job) - SAVING_SHARE * search.clock.budget
    return min(spare, search.clock.share(CURVE_SHARE))
