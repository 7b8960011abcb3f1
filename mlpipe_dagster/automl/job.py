"""A table made ready for training: held against the specification, split, typed, with what was noted on the way.

Nothing is fitted here.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlpipe_dagster.automl.bench import Source
from mlpipe_dagster.automl.columns import narrow, usable_columns
from mlpipe_dagster.automl.groups import group_labels
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
    source = Source(table, target, schema, training, _groups_to_even_out(table, spec), bond)
    return Job(table, spec, target, schema, source, training_rows, test_rows, notes)


def _not_read(spec: TrainingSpec) -> tuple[str, ...]:
    """Sensitive columns that the model must not read."""
    return spec.sensitive if spec.mitigation in (Mitigation.CORRELATION_REMOVER, Mitigation.PROXY_DROPPING) else ()


def _groups_to_even_out(table: pd.DataFrame, spec: TrainingSpec) -> Codes | None:
    """The group of each row in each sensitive column, where rows are weighted or repeated.

    Raises
    ------
    ModelError
        There is no sensitive column, or the target is a number.
    """
    if spec.mitigation not in (Mitigation.REWEIGHING, Mitigation.RESAMPLING):
        return None
    if not spec.sensitive or spec.task is TaskKind.REGRESSION:
        missing = "classes to predict" if spec.sensitive else "sensitive columns"
        raise ModelError(f"{spec.mitigation.value} needs {missing}. Choose another mitigation, or none.")
    codes = [pd.factorize(group_labels(table[name]), sort=True)[0] for name in spec.sensitive]
    return np.column_stack(codes).astype(np.int64)


def _left_out(spec: TrainingSpec) -> tuple[str, ...]:
    """What was asked to be left out, for those who read the model's notes."""
    return tuple(f"Left out “{name}”: as was asked." for name in spec.drop)
