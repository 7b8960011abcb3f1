"""Rows put together from the values of other rows, and what the model answers on them: the base of every what-if.

The encoders of a pipeline read each row of the pool once; a mixed row is then taken from what they gave out, column
by column. Where a feature depends on more than its own column (it is tried), raw rows are mixed and encoded each time.
Which rows to mix is decided by the modules that ask.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import issparse
from sklearn.pipeline import Pipeline

from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.xai.values import Floats

Places: TypeAlias = npt.NDArray[np.intp]
Features: TypeAlias = "Floats | pd.DataFrame"
"""What the last step of a pipeline sees: numbers, or raw columns where nothing comes before it."""
Ask: TypeAlias = Callable[[Features], Floats]
"""Features -> rows x outputs (or rows)."""
TRIED_ROWS = 32
MOST_CELLS = 4_000_000
"""Of features in one question to the model."""
_SEPARABLE: WeakKeyDictionary[Pipeline, bool] = WeakKeyDictionary()
"""Fitted pipelines that were tried, each once."""


def features_of(estimator: Pipeline, rows: pd.DataFrame, origins: Sequence[str]) -> Features:
    """What the last step of the pipeline sees of raw `rows`, dense.

    Raises
    ------
    ModelError
        The number of features is not the number of `origins`.
    """
    made = estimator[:-1].transform(rows) if len(estimator.steps) > 1 else rows[list(origins)]
    if isinstance(made, pd.DataFrame) and len(estimator.steps) == 1:
        return made
    given: Any = made
    dense = np.asarray(given.toarray() if issparse(given) else given, dtype=np.float64)
    if dense.shape[1] != len(origins):
        raise ModelError(
            f"The model yields {dense.shape[1]} features, but {len(origins)} are described: it cannot be explained."
        )
    return dense


@dataclass(frozen=True)
class Pool:
    """Rows whose values may be mixed, raw and encoded."""

    frame: pd.DataFrame
    features: Features
    columns: tuple[str, ...]
    """The raw columns that reach the model, in table order."""
    origins: tuple[str, ...]
    """The raw column of each feature."""
    estimator: Pipeline
    separable: bool = True
    """Whether each feature depends on its own raw column alone."""

    @staticmethod
    def of(estimator: Pipeline, frame: pd.DataFrame, origins: Sequence[str]) -> "Pool":
        """The pool of the rows of `frame`; raises ModelError for a column the model needs and `frame` lacks."""
        used = set(origins)
        absent = used - set(frame.columns)
        if absent:
            raise ModelError(
                f"The model needs the column(s) {', '.join(sorted(absent))}, which the table does not have."
            )
        columns = tuple(str(name) for name in frame.columns if name in used)
        pool = Pool(frame, features_of(estimator, frame, origins), columns, tuple(origins), estimator)
        if estimator not in _SEPARABLE:
            _SEPARABLE[estimator] = pool.is_separable()
        return replace(pool, separable=_SEPARABLE[estimator])

    def is_separable(self) -> bool:
        """Whether encoding a few mixed rows gives what was taken from the encoded rows, column by column."""
        generator = np.random.default_rng(0)
        places = generator.integers(len(self.frame), size=(TRIED_ROWS, len(self.columns))).astype(np.intp)
        taken, made = self.mixed(places), self._encoded(places)
        return isinstance(taken, pd.DataFrame) or np.allclose(
            taken, np.asarray(made, dtype=np.float64), rtol=1e-6, atol=1e-9, equal_nan=True
        )

    def _encoded(self, places: Places) -> Features:
        """Features of mixed raw rows."""
        raw = {name: self.frame[name].take(places[:, at]).to_numpy() for at, name in enumerate(self.columns)}
        kinds = {name: self.frame[name].dtype for name in self.columns}
        return features_of(self.estimator, pd.DataFrame(raw).astype(kinds), self.origins)

    @cached_property
    def _owners(self) -> Places:
        """Position in `columns` of the column of each feature."""
        where = {name: at for at, name in enumerate(self.columns)}
        return np.array([where[origin] for origin in self.origins], dtype=np.intp)

    def at(self, column: str) -> int:
        """Position of a column in `columns`."""
        return self.columns.index(column)

    def rows(self, places: npt.ArrayLike) -> Places:
        """The pool's own rows at `places`, as `mixed` wants them: rows x columns, to be changed at will."""
        return np.repeat(np.asarray(places, dtype=np.intp)[:, None], len(self.columns), axis=1)

    def mixed(self, places: Places) -> Features:
        """Features of rows that take the value of column j from the pool's row `places[:, j]`."""
        if not self.separable:
            return self._encoded(places)
        if isinstance(self.features, pd.DataFrame):
            taken = {
                name: self.features[name].take(places[:, at]).reset_index(drop=True)
                for at, name in enumerate(self.columns)
            }
            return pd.DataFrame(taken)[list(self.origins)]
        return np.asarray(self.features[places[:, self._owners], np.arange(len(self.origins))[None, :]])

    def ask(self, question: Ask, places: Places) -> Floats:
        """`question` on the mixed rows, in portions that fit into memory."""
        portion = max(MOST_CELLS // max(len(self.origins), 1), 1)
        parts = [
            question(self.mixed(places[start : start + portion])) for start in range(0, max(len(places), 1), portion)
        ]
        return np.concatenate(parts)
