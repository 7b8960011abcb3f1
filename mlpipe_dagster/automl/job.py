"""A table made ready for training: held against the specification, split, typed, with what was noted on the way.

Nothing is fitted here.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlpipe_dagster.automl.bench import Source
from mlpipe_dagster.automl.columns import narrow, usable_columns
from mlpipe_dagster.automl.groups import group_labels
from mlpipe_dagster.automl.metrics import Outcome
from mlpipe_dagster.automl.model import FeatureSchema, TrainingSpec
from mlpipe_dagster.automl.splits import bond_of, held_out
from mlpipe_dagster.automl.target import (
    Rows,
    Target,
    positive_class,
    rare_class_note,
    read_target,
    require_columns,
    require_enough,
)
from mlpipe_dagster.bias.mitigation.rows import Codes
from mlpipe_dagster.bias.mitigation.signs import without_sensitive_trace
from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import Mitigation, TaskKind

TEST_ROWS_A_SECOND = 1_000
"""The test split has at most this many rows for each second of budget."""
COLUMNS_A_SECOND = 200
"""At most this many columns are used for each second of budget."""


@dataclass(frozen=True)
class Job:
    """A table made ready: split, typed, and what was noted on the way."""

    table: pd.DataFrame
    spec: TrainingSpec
    target: Target
    schema: FeatureSchema
    source: Source
    training_rows: Rows
    """Positions in the table."""
    test_rows: Rows
    notes: tuple[str, ...]
    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Each sensitive column with its groups in the order of the codes in `source.groups`, where there are any."""

    @property
    def positive_first(self) -> bool:
        """Whether the first of two classes is the positive one."""
        return self.spec.positive == next(iter(self.target.classes), "")

    def about_positive(self, outcome: Outcome) -> Outcome:
        """With the positive class as the second of two, which rates and thresholds are about."""
        return outcome.turned() if self.positive_first else outcome


def prepare(table: pd.DataFrame, spec: TrainingSpec, budget: float) -> Job:
    """Split and type the table, as much of it as `budget` seconds allow; raises what `train` does of the table."""
    require_columns(table, spec)
    target = read_target(table[spec.target], spec)
    bond = bond_of(table, {spec.target, *spec.drop}) if spec.split == "auto" else None
    training, test, kept = held_out(target, bond, spec.seed, most=int(TEST_ROWS_A_SECOND * budget))
    bond = bond if kept else None
    require_enough(target, training)
    training_rows, test_rows = target.rows[training], target.rows[test]
    ignored = {spec.target, *spec.drop, *_not_read(spec), *({bond.column} if bond and bond.kind == "groups" else ())}
    seen = table.iloc[training_rows]
    names, too_wide = narrow(seen, ignored, target.truth()[training], int(COLUMNS_A_SECOND * budget))
    schema, reasons = usable_columns(seen[names], ignored)
    if spec.mitigation is Mitigation.CORRELATION_REMOVER:
        schema = without_sensitive_trace(schema, seen, spec.sensitive)
    notes = (
        *target.notes,
        *((bond.note,) if bond else ()),
        *_left_out(spec),
        *too_wide,
        *reasons,
        *rare_class_note(target, training),
    )
    if len(test) < 0.19 * len(target.rows):
        notes += (
            f"{len(test)} rows are held out for the test, as many as the budget allows; it would be 20 % with more.",
        )
    spec = spec.model_copy(update={"task": target.task, "positive": positive_class(target, spec)})
    codes, groups = _groups(table, spec)
    source = Source(table, target, schema, training, codes, bond)
    return Job(table, spec, target, schema, source, training_rows, test_rows, notes, groups)


def _not_read(spec: TrainingSpec) -> tuple[str, ...]:
    """Sensitive columns that the model must not read."""
    return spec.sensitive if spec.mitigation in (Mitigation.CORRELATION_REMOVER, Mitigation.PROXY_DROPPING) else ()


def _groups(table: pd.DataFrame, spec: TrainingSpec) -> tuple[Codes | None, tuple[tuple[str, tuple[str, ...]], ...]]:
    """The group of each row in each sensitive column, and their names, where rows count more or less by group.

    Raises
    ------
    ModelError
        There is no sensitive column, or the target is not one whose groups can be evened out.
    """
    evened_out = spec.mitigation in (Mitigation.REWEIGHING, Mitigation.RESAMPLING)
    if not evened_out and spec.constraint is None:
        return None, ()
    wish = spec.constraint.kind if spec.constraint else str(spec.mitigation)
    if not spec.sensitive:
        raise ModelError(f"{wish} needs sensitive columns. Name them, or ask for none of it.")
    if spec.constraint and spec.task is not TaskKind.BINARY:
        raise ModelError(f"{wish} needs a target of two classes. Choose another target, or no fairness constraint.")
    if spec.task is TaskKind.REGRESSION:
        raise ModelError(f"{wish} needs classes to predict. Choose another mitigation, or none.")
    found = [pd.factorize(group_labels(table[name]), sort=True) for name in spec.sensitive]
    names = tuple((name, tuple(map(str, of))) for name, (_, of) in zip(spec.sensitive, found, strict=True))
    return np.column_stack([codes for codes, _ in found]).astype(np.int64), names


def _left_out(spec: TrainingSpec) -> tuple[str, ...]:
    """What was asked to be left out, for those who read the model's notes."""
    return tuple(f"Left out “{name}”: as was asked." for name in spec.drop)
