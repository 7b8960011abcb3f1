"""What runs in auto-sklearn's own interpreter (Python 3.9 or 3.10, standard library and its lock only): fit, or serve.

`fit FOLDER` searches until the task's end and leaves model and answer in the folder. `serve MODEL SOCKET` answers
predictions until its input closes or nobody has asked for a while. Ours imports it for the names of files alone.
"""

from __future__ import annotations

import io
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA, TASK, ANSWER, MODEL = "data.npz", "task.json", "answer.json", "engine_model.joblib"
DUMMY = 1
"""Number of the run that auto-sklearn starts every search with: a dummy."""
MEMORY_MB = 4096
IDLE_SECONDS = 120.0
HEADER = struct.Struct(">Q")


def fit(folder: str) -> None:
    """Search, and leave `engine_model.joblib` and `answer.json` in the folder."""
    import joblib
    import numpy
    from autosklearn.classification import AutoSklearnClassifier
    from autosklearn.metrics import log_loss, root_mean_squared_error
    from autosklearn.regression import AutoSklearnRegressor

    place = Path(folder)
    task = json.loads((place / TASK).read_text())
    with numpy.load(place / DATA, allow_pickle=False) as data:
        features, truth = data["features"], data["truth"]
    kind = AutoSklearnClassifier if task["classification"] else AutoSklearnRegressor
    model = kind(
        time_left_for_this_task=30,
        per_run_time_limit=10,
        seed=task["seed"],
        n_jobs=1,
        memory_limit=MEMORY_MB,
        metric=log_loss if task["classification"] else root_mean_squared_error,
        tmp_folder=str(place / "search"),
        delete_tmp_folder_after_terminate=False,
    )
    seconds = int(task["ends_at"] - time.monotonic())
    # its 30 s at least are about the whole step here: imports and evaluation are within the same budget
    model.time_left_for_this_task = max(5, seconds)
    model.per_run_time_limit = max(3, seconds // 3)
    begun, clock = time.monotonic(), time.time()
    model.fit(features, truth)
    members = [name for name in model.automl_.ensemble_.get_selected_model_identifiers() if name[1] != DUMMY]
    joblib.dump(model, place / MODEL)
    answer = {
        "members": len(members),
        "trials": _trials(model, begun - clock),
        "statistics": " ".join(model.sprint_statistics().split()),
    }
    (place / ("part-" + ANSWER)).write_text(json.dumps(answer))
    (place / ("part-" + ANSWER)).rename(place / ANSWER)


def _trials(model: Any, offset: float) -> list[dict[str, Any]]:
    """Every run that ended well but the dummy; moments are those of `time.monotonic`."""
    history = model.automl_.runhistory_
    found = []
    for key, run in history.data.items():
        info = run.additional_info or {}
        if "SUCCESS" not in str(run.status) or info.get("num_run") == DUMMY:
            continue
        settings = dict(history.ids_config[key.config_id].get_dictionary())
        chosen = settings.get("classifier:__choice__") or settings.get("regressor:__choice__")
        found.append(
            {
                "algorithm": str(chosen),
                "parameters": {name: _plain(value) for name, value in settings.items() if str(chosen) in name},
                "loss": float(run.cost),
                "seconds": float(run.time),
                "ended_at": run.endtime + offset,
            }
        )
    return found


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def serve(model_file: str, address: str) -> None:
    """Answer arrays of features by probabilities, or values, one after the other; a frame is its length and a .npy."""
    import joblib
    from autosklearn.classification import AutoSklearnClassifier

    model = joblib.load(model_file)
    classifies = isinstance(model, AutoSklearnClassifier)  # its regressors have a predict_proba, too, that fails
    answer(model.predict_proba if classifies else model.predict, address)


def answer(ask: Callable[[Any], Any], address: str) -> None:
    """Pass on what is asked, until the input closes or nobody has asked for a while."""
    import numpy

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    os.chmod(address, 0o600)  # noqa: PTH101 - of a path that is a text already
    listener.listen(1)
    print("ready", flush=True)
    while _asked(listener):
        connection, _ = listener.accept()
        with connection:
            while _asked(connection):
                frame = _received(connection)
                if frame is None:
                    break
                features = numpy.load(io.BytesIO(frame), allow_pickle=False)
                said = io.BytesIO()
                numpy.save(said, numpy.asarray(ask(features), dtype=float))
                connection.sendall(HEADER.pack(said.tell()) + said.getvalue())


def _asked(source: socket.socket) -> bool:
    """Whether something came before the parent went or the patience ended; ends the program otherwise."""
    ready, _, _ = select.select([source, sys.stdin], [], [], IDLE_SECONDS)
    if source not in ready:
        sys.exit(0)
    return True


def _received(connection: socket.socket) -> bytes | None:
    """The next frame; None where the other end closed."""
    head = _exactly(connection, HEADER.size)
    return None if head is None else _exactly(connection, HEADER.unpack(head)[0])


def _exactly(connection: socket.socket, size: int) -> bytes | None:
    content = bytearray()
    while len(content) < size:
        part = connection.recv(min(1 << 20, size - len(content)))
        if not part:
            return None
        content += part
    return bytes(content)


def main(fit: Callable[[str], None], serve: Callable[[str, str], None]) -> None:
    """What the first argument says, with the others, on one thread."""
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    if sys.argv[1] == "fit":
        fit(sys.argv[2])
    else:
        serve(sys.argv[2], sys.argv[3])


if __name__ == "__main__":
    main(fit, serve)
