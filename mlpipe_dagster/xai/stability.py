"""Whether the same story is told again: with other rows, with the model fitted anew; and how few columns tell it.

After shapash's `stability` and `compacity`, on the original columns. What is refitted is the algorithm with its
settings; its encoders stay as they are.
"""

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.calibration import Calibrated
from mlpipe_dagster.automl.preparation import as_number
from mlpipe_dagster.xai.attribution import Attribution
from mlpipe_dagster.xai.explainers import attribute
from mlpipe_dagster.xai.importance import TOP, agreement, bootstrapped
from mlpipe_dagster.xai.pieces import Agreement
from mlpipe_dagster.xai.pool import features_of
from mlpipe_dagster.xai.quality import Compactness, Stability
from mlpipe_dagster.xai.subject import Subject

REFIT_ROWS = 2_000
FEWEST_ROWS = 50
EXPLAINED_ROWS = 300
TOLD = 0.9


def stability(subject: Subject, attribution: Attribution) -> Stability:
    """How often resampled rows name the same leading columns, and what the model fitted anew says."""
    strength = np.abs(attribution.values).mean(axis=2)
    top = min(TOP, strength.shape[1])
    leading = _leaders(strength.mean(axis=0), top)
    draws = bootstrapped(strength, subject.seed)
    same = float(np.mean([_leaders(draw, top) == leading for draw in draws]))
    refitted, rows = _refitted(subject, attribution)
    subject.budget.did("stability", "sampled" if rows else "left out", rows, len(subject.training) if rows else 0)
    return Stability(resampled_top=top, resampled_same=same, refitted=refitted, refitted_rows=rows)


def _leaders(means: "np.ndarray[tuple[int], np.dtype[np.float64]]", top: int) -> set[int]:
    return set(np.argsort(-means, kind="stable")[:top].tolist())


def _refitted(subject: Subject, attribution: Attribution) -> tuple[Agreement | None, int]:
    """The ranking of the same algorithm fitted on as many resampled rows with another seed, and how many these are."""
    model, final = subject.model, subject.estimator[-1]
    final = final.estimator if isinstance(final, Calibrated) else final  # the scaling moves no ranking
    rows = min(REFIT_ROWS, len(subject.learned))
    if not model.held_out or not hasattr(final, "get_params") or rows < FEWEST_ROWS:
        return None, 0
    tried = [trial for trial in model.leaderboard if trial.algorithm == model.algorithm and not trial.baseline]
    seconds = max((trial.seconds for trial in tried), default=0.0) * rows / max(model.trained_rows, 1)
    if seconds > subject.budget.share("stability"):
        return None, 0
    generator = np.random.default_rng(subject.seed + 1)
    drawn = subject.pool.frame.iloc[generator.choice(subject.learned, rows)]
    labels = drawn[model.spec.target]
    truth = as_number(labels)
    if subject.classes:
        codes = {name: at for at, name in enumerate(subject.classes)}
        truth = np.array([codes.get(str(text), -1) for text in subject.labels(labels)], dtype=np.float64)
    known = np.isfinite(truth) & (truth >= 0 if subject.classes else True)
    if subject.classes and len(np.unique(truth[known])) < len(subject.classes):
        return None, 0
    features = features_of(subject.estimator, drawn[known], model.feature_origins)
    again = clone(final)
    if "random_state" in again.get_params():
        again.set_params(random_state=subject.seed + 1)
    again.fit(features, final.classes_[truth[known].astype(np.intp)] if subject.classes else truth[known])
    pipeline = Pipeline([*subject.estimator.steps[:-1], ("again", again)])
    share = subject.budget.share("stability")
    made = attribute(
        pipeline,
        attribution.rows.head(EXPLAINED_ROWS),
        subject.background,
        model.feature_origins,
        seed=subject.seed,
        seconds=share,
    )
    return agreement(_ranking(attribution), _ranking(made)), int(known.sum())


def _ranking(made: Attribution) -> dict[str, float]:
    means = np.abs(made.values).mean(axis=(0, 2))
    return dict(zip(made.columns, means.tolist(), strict=True))


def compactness(attribution: Attribution) -> Compactness:
    """Columns that carry 80 % of the influence, and rows whose few strongest columns carry 90 % of what moves them."""
    strength = np.abs(attribution.values).mean(axis=2)
    means = np.sort(strength.mean(axis=0))[::-1]
    top = min(TOP, strength.shape[1])
    whole = strength.sum(axis=1)
    told = np.sort(strength, axis=1)[:, ::-1][:, :top].sum(axis=1) >= TOLD * whole
    total = means.sum()
    few = int(np.searchsorted(np.cumsum(means), 0.8 * total - 1e-12) + 1) if total > 0 else 0
    return Compactness(columns_for_80=few, top=top, rows_told=float(told.mean()))
