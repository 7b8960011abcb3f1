"""AutoGluon on a table as it came, without the harness around it: run by its own interpreter, one JSON line.

`python autogluon_itself.py TRAIN.parquet TEST.parquet TARGET SECONDS FOLDER`: fits in the folder, leaves its answers
for the test rows there as `answers.npy`, and prints what it took.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

LATE = ["RF", "XT", "KNN", "NN_TORCH", "FASTAI"]
"""Left out as by the engine: the first three do not look at the clock, the others are not installed."""


def main(train: str, test: str, target: str, seconds: str, folder: str) -> None:
    """Fit with its preset of the best quality, answer, and time it."""
    begun = time.monotonic()
    import numpy
    import pandas
    from autogluon.tabular import TabularPredictor

    known, asked = pandas.read_parquet(train), pandas.read_parquet(test)
    classes = known[target].nunique() if known[target].dtype == object else 0
    predictor = TabularPredictor(
        label=target,
        problem_type={0: "regression", 2: "binary"}.get(classes, "multiclass"),
        eval_metric="log_loss" if classes else "root_mean_squared_error",
        path=str(Path(folder) / "predictor"),
        verbosity=0,
    )
    left = float(seconds) - (time.monotonic() - begun)
    predictor.fit(
        known, time_limit=left, presets="best_quality", dynamic_stacking=False, excluded_model_types=LATE,
        num_gpus=0, num_cpus=2,
    )  # fmt: skip
    taken = time.monotonic() - begun

    def answer(rows: Any) -> Any:
        if not classes:
            return predictor.predict(rows, as_pandas=False)
        chances = predictor.predict_proba(rows, as_multiclass=True)
        return chances[sorted(chances.columns)].to_numpy()

    numpy.save(Path(folder) / "answers.npy", answer(asked))
    found = {
        "seconds": taken,
        "peak_mb": max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        / 1024,
        "size_mb": sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()) / 1e6,
        "one_row_ms": 1000 * min(_timed(answer, asked.head(1)) for _ in range(3)),
        "rows_10k_s": _timed(answer, asked.sample(10_000, replace=True, random_state=0)),
    }
    print(json.dumps(found))


def _timed(answer: Any, rows: Any) -> float:
    begun = time.perf_counter()
    answer(rows)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main(*sys.argv[1:])
