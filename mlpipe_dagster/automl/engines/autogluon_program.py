"""What runs in AutoGluon's own interpreter (its lock and the standard library only): fit, or serve.

As `autosklearn_program.py`, whose names of files, beginning and loop of answers it takes. Its model is a folder, which
becomes one file: a zip.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

LABEL = "y"
BEST_FROM_SECONDS = 30.0
"""Below, bagging and stacking would not end."""
LATE = ["RF", "XT", "KNN", "NN_TORCH", "FASTAI"]
"""Left out: the first three do not look at the clock, the others are not installed."""
BOOSTINGS: dict[str, Any] = {"GBM": {}, "CAT": {}, "XGB": {}}
FOR_LOADING = 0.9
"""Of the time given, so much is AutoGluon's: it ends a little late, and its model has to be packed."""


def fit(folder: str) -> None:
    """Search, and leave the model and `answer.json` in the folder."""
    import numpy
    from autogluon.tabular import TabularPredictor

    place, names = Path(folder), _other()
    task = json.loads((place / names.TASK).read_text())
    with numpy.load(place / names.DATA, allow_pickle=False) as data:
        table = _table(data["features"])
        table[LABEL] = data["truth"]
    classes = int(table[LABEL].nunique()) if task["classification"] else 0
    predictor = TabularPredictor(
        label=LABEL,
        problem_type={0: "regression", 2: "binary"}.get(classes, "multiclass"),
        eval_metric="log_loss" if classes else "root_mean_squared_error",
        path=str(place / "search"),
        verbosity=0,
    )
    begun, clock = time.monotonic(), time.time()
    seconds = FOR_LOADING * (task["ends_at"] - begun)
    best = seconds >= BEST_FROM_SECONDS
    how = {"presets": "best_quality", "dynamic_stacking": False} if best else {"hyperparameters": BOOSTINGS}
    predictor.fit(table, time_limit=seconds, excluded_model_types=LATE, num_gpus=0, num_cpus=task["threads"], **how)
    trials = _trials(predictor, begun, clock)
    predictor.clone_for_deployment(str(place / "deployed"))
    packed = shutil.make_archive(str(place / "packed"), "zip", place / "deployed")
    Path(packed).rename(place / names.MODEL)
    answer = {"members": len(trials), "trials": trials, "statistics": f"{len(trials)} models"}
    (place / ("part-" + names.ANSWER)).write_text(json.dumps(answer))
    (place / ("part-" + names.ANSWER)).rename(place / names.ANSWER)


def _table(features: Any) -> Any:
    import pandas

    return pandas.DataFrame(features, columns=[f"f{at}" for at in range(features.shape[1])])


def _trials(predictor: Any, begun: float, clock: float) -> list[dict[str, Any]]:
    """Every model it has fitted, with its own validation loss; when each ended is not known to the second."""
    board, ended = predictor.leaderboard(), time.time() - clock + begun
    rows = zip(board["model"], board["score_val"], board["fit_time_marginal"], strict=True)
    return [
        {"algorithm": str(name), "parameters": {}, "loss": -float(score), "seconds": float(took), "ended_at": ended}
        for name, score, took in rows
        if score == score  # noqa: PLR0124 - not a number where a model was not validated
    ]


def serve(model_file: str, address: str) -> None:
    """Answer as `autosklearn_program.serve`; the unpacked model goes with this process."""
    from autogluon.tabular import TabularPredictor

    with tempfile.TemporaryDirectory(prefix="autogluon-") as folder:
        with zipfile.ZipFile(model_file) as packed:
            packed.extractall(folder)  # made by `fit`, and its SHA-256 is known to be right
        predictor = TabularPredictor.load(folder, require_py_version_match=False)

        def ask(features: Any) -> Any:
            table = _table(features)
            if predictor.problem_type == "regression":
                return predictor.predict(table, as_pandas=False)
            return predictor.predict_proba(table, as_pandas=False, as_multiclass=True)

        _other().answer(ask, address)


def _other() -> Any:
    """The other program, by its file: beside it lie modules that are called as libraries are."""
    found = importlib.util.spec_from_file_location("other", Path(__file__).with_name("autosklearn_program.py"))
    if found is None or found.loader is None:
        raise ImportError("autosklearn_program.py is not beside this file")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


if __name__ == "__main__":
    _other().main(fit, serve)
