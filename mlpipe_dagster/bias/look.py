"""`look_for_signals`: a table, its target and its sensitive columns in, `Signals` out.

Proxies, leaks and conflicting rows are looked for in a sample that has been read.
"""

from collections.abc import Iterator, Mapping, Sequence

from mlpipe_dagster.bias import leakage
from mlpipe_dagster.bias.groups import Labels, Table
from mlpipe_dagster.bias.labels import group_labels
from mlpipe_dagster.bias.proxies import TOGETHER_COLUMNS, TOGETHER_ROWS, Subject, find_proxies
from mlpipe_dagster.bias.sample import Sample
from mlpipe_dagster.bias.sensitive import SensitiveColumn
from mlpipe_dagster.bias.signals import Signals
from mlpipe_dagster.reports.wording import list_text
from mlpipe_dagster.tables.profile import Profile

_MOST_NAMED = 10


def look_for_signals(
    table: Table,
    profile: Profile,
    sample: Sample,
    target: str,
    classes: Labels | None,
    sensitive: Sequence[SensitiveColumn],
    labels: Mapping[str, Labels],
) -> Signals:
    """What columns give away of the sensitive ones and of the target; `classes` is None where that is a number."""
    subjects = [Subject(one.column, group_labels(one.column, one.kind, labels[one.column].names)) for one in sensitive]
    features = find_proxies(sample, subjects)
    together = any(one.together for one in features)
    neutral = sum(column.column not in labels for column in sample.columns)
    return Signals(
        rows=sample.rows,
        of=sample.of,
        features=features,
        leaks=leakage.find_leaks(sample, target, classes),
        conflicts=leakage.find_conflicts(table, profile, target, classes),
        near_empty=leakage.near_empty(profile),
        identifiers=leakage.identifiers(profile),
        notes=(
            *_notes(sample.rows, sample.of, sample.left_out, together, neutral),
            *_conflict_notes(sample.of, classes),
        ),
    )


def _conflict_notes(rows: int, classes: Labels | None) -> Iterator[str]:
    if classes and rows > leakage.CONFLICT_ROWS:
        yield (
            "Rows that contradict each other were looked for among the first "
            f"{leakage.CONFLICT_ROWS:,} of {rows:,} rows; copies of rows were counted in all."
        )


def _notes(rows: int, of: int, left_out: Sequence[str], together: bool, columns: int) -> list[str]:
    notes = []
    if rows < of:
        notes.append(
            f"What columns give away was looked for in a random sample of {rows:,} of {of:,} rows, the same each time."
        )
    if together and rows > TOGETHER_ROWS:
        notes.append(f"All columns together were tried on {TOGETHER_ROWS:,} of those rows.")
    if together and columns > TOGETHER_COLUMNS:
        notes.append(
            f"Of {columns:,} columns that are not sensitive, the first {TOGETHER_COLUMNS} were taken together."
        )
    if left_out:
        named = [f"“{column}”" for column in left_out[:_MOST_NAMED]]
        named += [f"{len(left_out) - _MOST_NAMED} more"] if len(left_out) > _MOST_NAMED else []
        notes.append(
            f"{list_text(named)} {'was' if len(left_out) == 1 else 'were'} not tried: names, addresses, keys and free "
            "text say much about single people, and no value of theirs may be shown."
        )
    return notes
