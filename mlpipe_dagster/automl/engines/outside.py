"""Estimators whose model lives in another interpreter: they ask its predict server, which runs while it is needed.

Nothing of the model is read here. What stands in for it is saved with the pipeline; its file lies beside, and is given
back by `artefacts.load` once its SHA-256 is known to be right.
"""

import contextlib
import io
import socket
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from mlpipe_dagster.automl.engines import autogluon_program, autosklearn_program
from mlpipe_dagster.automl.engines.autosklearn_program import HEADER
from mlpipe_dagster.automl.engines.known import KNOWN, interpreter_of, require_installed
from mlpipe_dagster.errors import EngineError

Floats = NDArray[np.float64]
PROGRAMS = {"autosklearn": autosklearn_program.__file__, "autogluon": autogluon_program.__file__}
LAST_WORDS, SECONDS_TO_END = 300, 5.0


class PredictServer:
    """The other interpreter with the model loaded; it ends with this object, with this process, or unasked for long."""

    def __init__(self, engine: str, model: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mlpipe-")
        address = f"{self._folder.name}/socket"
        known = KNOWN[engine]
        require_installed(known)
        program = [str(interpreter_of(known)), "-I", PROGRAMS[engine], "serve", str(model), address]
        self._errors = Path(self._folder.name) / "errors"
        with self._errors.open("wb") as said:
            self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        self._finalize = weakref.finalize(self, _end, self.process)
        if self.process.stdout is None or self.process.stdout.readline() != b"ready\n":
            raise EngineError(f"The model of {known.title} could not be read: {self.last_words()}")
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(address)
        self._stream = self._connection.makefile("rb")

    def ask(self, features: Floats) -> Floats:
        """Probabilities (rows x classes) or values (rows); raises EOFError or OSError where the server has ended."""
        frame = io.BytesIO()
        np.save(frame, np.ascontiguousarray(features, dtype=np.float64))
        self._connection.sendall(HEADER.pack(frame.tell()) + frame.getvalue())
        head = self._stream.read(HEADER.size)
        if len(head) < HEADER.size:
            raise EOFError("the predict server has ended")
        answer: Floats = np.load(io.BytesIO(self._stream.read(HEADER.unpack(head)[0])), allow_pickle=False)
        return answer

    def last_words(self) -> str:
        """The last line of what it complained of; a server that breaks closes its socket before it has said all."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(SECONDS_TO_END)
        lines = self._errors.read_text(errors="replace").strip().splitlines()
        return lines[-1][:LAST_WORDS] if lines else "it said nothing"

    def close(self) -> None:
        """End it now."""
        self._connection.close()
        self._finalize()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()  # it holds nothing that needs an orderly end
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream:
            stream.close()


class _Outside(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What the two have in common; `file` is the model's, known to be whole."""

    file: Path | None = None
    _server: PredictServer | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What is saved: neither the place of the file nor a process."""
        return {name: value for name, value in vars(self).items() if name not in ("file", "_server")}

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, features: Any, labels: Any = None) -> Any:
        """Refuses: it was fitted by its engine, and scikit-learn asks an estimator to have this method."""
        raise NotImplementedError(f"the model is fitted by its engine {self.engine}")

    def _ask(self, features: Any) -> Floats:
        if self.file is None:
            raise EngineError("The file of the engine's model is not at hand. Load the model with artefacts.load.")
        values = np.asarray(features, dtype=np.float64)
        for last in (False, True):
            if self._server is None:
                self._server = PredictServer(self.engine, self.file)
            try:
                return self._server.ask(values)
            except (OSError, EOFError) as error:
                said = self._server.last_words()
                self.close()
                if last:
                    raise EngineError(f"{KNOWN[self.engine].title} broke off while it answered: {said}") from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End the predict server; the next question starts another."""
        if self._server is not None:
            self._server.close()
        self._server = None


class OutsideClassifier(ClassifierMixin, _Outside):  # type: ignore[misc]
    """A classifier of another interpreter; `classes`: labels as text, sorted."""

    def __init__(self, engine: str, classes: list[str]) -> None:
        self.engine = engine
        self.classes = classes
        self.classes_ = np.array(classes)

    def predict_proba(self, features: Any) -> Floats:
        """Probabilities, rows x classes."""
        return self._ask(features)

    def predict(self, features: Any) -> NDArray[np.str_]:
        """The most probable label of each row."""
        return np.asarray(self.classes_[self._ask(features).argmax(axis=1)])


class OutsideRegressor(RegressorMixin, _Outside):  # type: ignore[misc]
    """A regressor of another interpreter."""

    def __init__(self, engine: str) -> None:
        self.engine = engine

    def predict(self, features: Any) -> Floats:
        """Values, one a row."""
        return self._ask(features).ravel()
