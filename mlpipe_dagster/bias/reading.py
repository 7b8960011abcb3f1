"""The target as it is measured: its classes or its cells before counting, its outcomes in all rows afterwards.

What is refused stands in `target.py`.
"""

from dataclasses import dataclass, replace

from mlpipe_dagster.bias import groups, intervals
from mlpipe_dagster.bias.counts import Tally
from mlpipe_dagster.bias.groups import Cells, Labels, Table
from mlpipe_dagster.bias.report import Outcome
from mlpipe_dagster.bias.target import choose_positive, require_column, require_fitting_task, require_variation
from mlpipe_dagster.errors import TaskError
from mlpipe_dagster.vocabulary import TaskKind


@dataclass(frozen=True)
class Target:
    """The target: classes, or a number in cells; what is known of all rows is filled in by `settled`."""

    column: str
    task: TaskKind
    classes: Labels | None = None
    number: str = ""
    cells: Cells | None = None
    note: str = ""
    overall: tuple[Outcome, ...] = ()
    missing: int = 0
    positive: str | None = None
    positive_reason: str = ""
    most_shown: int | None = None
    """Of so many classes rates are shown, the most frequent ones; of all where it is None."""

    @property
    def names(self) -> tuple[str, ...]:
        """Its classes; none for a number."""
        return self.classes.names if self.classes else ()

    @property
    def shown(self) -> tuple[int, ...]:
        """Positions of the classes whose rates are shown: the positive one, or all of them."""
        found = (index for index, name in enumerate(self.names) if self.positive in (None, name))
        return tuple(found)[: self.most_shown]


def read_target(table: Table, column: str, task: TaskKind) -> Target:
    """The target before anything is counted.

    Raises
    ------
    TargetError
        It is absent, constant or empty.
    TaskError
        It has more than two classes for a binary task, or holds no numbers for a regression.
    """
    require_column(column, list(table.types))
    if task is TaskKind.REGRESSION:
        return _read_number(table, column)
    classes = groups.label_values(table, column)
    require_variation(column, len(classes.names))
    require_fitting_task(column, task, len(classes.names))
    return Target(column, task, classes, note=classes.note)


def _read_number(table: Table, column: str) -> Target:
    number = groups.number_of(table, column)
    if number is None:
        raise TaskError(f"The target column “{column}” holds no numbers. Use the task type classification.")
    cells = groups.choose_cells(table, number)
    require_variation(column, len(cells.edges))
    note = f"Distributions of “{column}” are compared at {len(cells.edges):,} quantiles: KS is a lower bound."
    return Target(column, TaskKind.REGRESSION, None, number, cells, "" if cells.exact else note)


def settled(target: Target, everyone: Tally, row_count: int, positive: str | None) -> Target:
    """The target with its outcomes in all rows; raises TargetError where `positive` is not one of its two classes."""
    known = int(everyone.counts.sum())
    if not target.classes:
        moments = everyone.moments[0]
        return replace(target, overall=(mean_outcome(moments),) if moments else (), missing=row_count - known)
    overall = tuple(
        rate_outcome(name, int(count), known) for name, count in zip(target.names, everyone.counts[0], strict=True)
    )
    chosen, reason = None, ""
    if target.task is TaskKind.BINARY:
        chosen, reason = choose_positive(target.column, {one.label: one.count for one in overall}, positive)
    return replace(target, overall=overall, missing=row_count - known, positive=chosen, positive_reason=reason)


def rate_outcome(name: str, count: int, known: int) -> Outcome:
    """The rate of a class among rows with a known target."""
    low, high = intervals.wilson(count, known)
    return Outcome(label=name, count=count, value=count / known, low=low, high=high, method="Wilson interval")


def mean_outcome(moments: intervals.Moments) -> Outcome:
    """The mean of a number."""
    low, high = intervals.student(moments) or (None, None)
    return Outcome(
        label="mean", count=moments.count, value=moments.mean, low=low, high=high, method="Student's t interval"
    )
