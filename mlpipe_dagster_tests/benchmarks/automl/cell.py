"""One training of the grid in a process of its own: `python -m …cell FOLDER TABLE SUBJECT SECONDS SEED LOSSES`.

Prints one JSON line, and leaves the loss of every test row in the file LOSSES. Every subject learns from the same
training rows and is scored on the same test rows: those that the harness holds out.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.automl.algorithms import limit_library_threads, predict
from mlpipe_dagster.automl.apart import Budget, train_apart
from mlpipe_dagster.automl.bench import Source, assemble, open_bench
from mlpipe_dagster.automl.columns import usable_columns
from mlpipe_dagster.automl.engines.known import KNOWN, interpreter_of
from mlpipe_dagster.automl.job import TEST_ROWS_A_SECOND
from mlpipe_dagster.automl.metrics import Outcome, loss, published_score, row_losses
from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.preparation import encoder
from mlpipe_dagster.automl.splits import bond_of, held_out
from mlpipe_dagster.automl.target import Rows, Target, read_target
from mlpipe_dagster_tests.benchmarks.automl import autogluon_itself
from mlpipe_dagster_tests.benchmarks.automl.tables import TABLES

FOLDS, ALL_ROWS_SECONDS = 5, 1e6
Fit = Callable[[bool, int], Any]


def _linear(regression: bool, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    return Ridge() if regression else LogisticRegression(max_iter=300, random_state=seed)


def _lightgbm(regression: bool, seed: int) -> Any:
    import lightgbm

    kind = lightgbm.LGBMRegressor if regression else lightgbm.LGBMClassifier
    return kind(random_state=seed, verbosity=-1)


def _histogram(regression: bool, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    return (HistGradientBoostingRegressor if regression else HistGradientBoostingClassifier)(random_state=seed)


PLAIN: dict[str, tuple[str, Fit]] = {
    "linear": ("linear", _linear),
    "LightGBM defaults": ("trees", _lightgbm),
    "HistGB defaults": ("trees", _histogram),
}
CROSS_VALIDATED = "plain, cross-validated"
"""The plain model that is best in five folds of the training rows: the best of them in hindsight cannot be known."""
ITSELF = "AutoGluon itself"
"""On the raw table and all training rows, without the harness and its baselines."""


def measure(folder: Path, table: str, subject: str, seconds: float, seed: int, losses: Path) -> dict[str, Any]:
    """What the subject reached and took."""
    known = TABLES[table]
    frame = known.read(folder)
    spec = TrainingSpec(target=known.target, task=known.task, seed=seed, engine=subject if subject in KNOWN else "auto")
    target = read_target(frame[known.target], spec)
    bond = bond_of(frame, {known.target})
    training, test, _ = held_out(target, bond, seed, most=int(TEST_ROWS_A_SECOND * Budget(0, seconds).for_training))
    with tempfile.TemporaryDirectory() as name:
        if subject == ITSELF:
            outcome, found = _autogluon_itself(frame, target, spec, training, test, seconds, Path(name))
            return _scores(outcome, _constant(target.truth()[training], outcome), losses) | found
        fit = _engine if subject in KNOWN else _cross_validated if subject == CROSS_VALIDATED else _plain
        pipeline, size, taken = fit(frame, spec, subject, seconds, training, Path(name))
        rows = frame.iloc[target.rows[test]]
        outcome = Outcome(target.truth()[test], predict(pipeline, rows))
        constant = _constant(target.truth()[training], outcome)
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return _scores(outcome, constant, losses) | {
            "seconds": taken,
            "peak_mb": peak / 1024,
            "size_mb": size / 1e6,
            "one_row_ms": 1000 * min(_timed(pipeline, rows.head(1)) for _ in range(5)),
            "rows_10k_s": _timed(pipeline, rows.sample(10_000, replace=True, random_state=0)),
        }


def _scores(outcome: Outcome, constant: Outcome, losses: Path) -> dict[str, float]:
    np.save(losses, row_losses(outcome).astype(np.float32))
    return {"loss": loss(outcome), "constant": loss(constant), "score": published_score(outcome)}


def _constant(training: np.ndarray, outcome: Outcome) -> Outcome:
    """What always answers the training rows' mean, or their shares of the classes."""
    if outcome.predicted.ndim == 1:
        return Outcome(outcome.truth, np.full(len(outcome.truth), training.mean()))
    shares = np.bincount(training.astype(int), minlength=outcome.predicted.shape[1]) / len(training)
    return Outcome(outcome.truth, np.tile(shares, (len(outcome.truth), 1)))


def _timed(pipeline: Any, rows: pd.DataFrame) -> float:
    with limit_library_threads("openmp", 1):  # as the API answers
        begun = time.perf_counter()
        predict(pipeline, rows)
        return time.perf_counter() - begun


def _engine(
    frame: pd.DataFrame, spec: TrainingSpec, subject: str, seconds: float, training: np.ndarray, folder: Path
) -> tuple[Any, int, float]:
    """The model, its bytes, and the seconds until its files were there."""
    file = folder / "table.parquet"
    frame.to_parquet(file)
    (folder / "work").mkdir()
    begun = time.monotonic()
    trained = train_apart(file, spec, Budget(begun, seconds), folder / "work")
    taken = time.monotonic() - begun
    size = sum(path.stat().st_size for path in trained.files if path.suffix in (".skops", ".joblib"))
    return artefacts.load(trained.files[0].parent).estimator, size, taken


def _autogluon_itself(
    frame: pd.DataFrame, target: Target, spec: TrainingSpec, training: Rows, test: Rows, seconds: float, folder: Path
) -> tuple[Outcome, dict[str, Any]]:
    parts = {"train": training, "test": test}
    for name, rows in parts.items():
        part = frame.iloc[target.rows[rows]].assign(**{spec.target: target.values[rows]})
        part.to_parquet(folder / f"{name}.parquet")
    files = [str(folder / f"{name}.parquet") for name in parts]
    command = [str(interpreter_of(KNOWN["autogluon"])), "-I", str(Path(autogluon_itself.__file__))]
    ended = subprocess.run(
        [*command, *files, spec.target, f"{seconds:g}", str(folder)], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(f"AutoGluon ended with {ended.returncode}: {ended.stderr[-300:]}")
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return Outcome(target.truth()[test], np.load(folder / "answers.npy").astype(np.float64)), found


def _cross_validated(
    frame: pd.DataFrame, spec: TrainingSpec, subject: str, seconds: float, training: np.ndarray, folder: Path
) -> tuple[Any, int, float]:
    begun = time.monotonic()
    source = _source(frame, spec, training)
    bench = open_bench(source, ALL_ROWS_SECONDS, spec.seed, folds=FOLDS)

    def validated(name: str) -> float:
        family, make = PLAIN[name]
        parts = []
        for data in (bench.data(family, fold) for fold in range(FOLDS)):  # type: ignore[arg-type]
            estimator = make(not source.target.classes, spec.seed)
            estimator.fit(data.features, data.labels)
            parts.append(Outcome(data.truth_to_check(), predict(estimator, data.check_features)))
        joined = [np.concatenate(arrays) for arrays in zip(*((it.truth, it.predicted) for it in parts), strict=True)]
        return loss(Outcome(*joined))

    pipeline, size, _ = _plain(frame, spec, min(PLAIN, key=validated), seconds, training, folder)
    return pipeline, size, time.monotonic() - begun


def _source(frame: pd.DataFrame, spec: TrainingSpec, training: np.ndarray) -> Source:
    target = read_target(frame[spec.target], spec)
    schema, _ = usable_columns(frame.iloc[target.rows[training]], [spec.target])
    return Source(frame, target, schema, training)


def _plain(
    frame: pd.DataFrame, spec: TrainingSpec, subject: str, seconds: float, training: np.ndarray, folder: Path
) -> tuple[Any, int, float]:
    import pickle

    begun = time.monotonic()
    family, make = PLAIN[subject]
    source = _source(frame, spec, training)
    rows = source.draw(len(training), spec.seed)
    encoders = encoder(family, rows.typed, len(source.target.classes), spec.seed)  # type: ignore[arg-type]
    estimator = make(not source.target.classes, spec.seed)
    estimator.fit(np.asarray(encoders.fit_transform(rows.typed, rows.labels), dtype=np.float64), rows.labels)
    pipeline = assemble(source.schema, encoders, estimator)
    return pipeline, len(pickle.dumps(pipeline)), time.monotonic() - begun


def main(folder: str, table: str, subject: str, seconds: str, seed: str, losses: str) -> None:
    """Print the result; an error of the subject is one."""
    try:
        found = measure(Path(folder), table, subject, float(seconds), int(seed), Path(losses))
    except Exception as error:  # the end of the process: the grid shows it in this cell
        found = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
