"""`look_for_signals`: a table, its target and its sensitive columns in, `Signals` out.

One sample is read, then proxies, leaks and conflicting rows are looked for in it.
"""

from collections.abc import Sequence

from mlpipe_dagster.bias import leakage
from mlpipe_dagster.bias.groups import Table, label_groups, label_values
from mlpipe_dagster.bias.labels import group_label
from mlpipe_dagster.bias.proxies import TOGETHER_ROWS, Subject, find_proxies
from mlpipe_dagster.bias.sample import read_sample
from mlpipe_dagster.bias.sensitive import SensitiveColumn
from mlpipe_dagster.bias.signals import Signals
from mlpipe_dagster.reports.wording import list_text
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import TaskKind

_MOST_NAMED = 10


def look_for_signals(
    table: Table, profile: Profile, target: str, task: TaskKind, sensitive: Sequence[SensitiveColumn]
) -> Signals:
    """What columns give away of the sensitive ones and of the target."""
    classes = None if task is TaskKind.REGRESSION else label_values(table, target)
    labels = {one.column: label_groups(table, one.column, one.kind) for one in sensitive}
    sample = read_sample(table, profile, target, classes, labels)
    subjects = [
        Subject(one.column, [group_label(one.column, one.kind, name) for name in labels[one.column].names])
        for one in sensitive
    ]
    features = find_proxies(sample, subjects)
    return Signals(
        rows=sample.rows,
        of=sample.of,
        features=features,
        leaks=leakage.find_leaks(sample, target, classes),
        conflicts=leakage.find_conflicts(table, profile, target, classes),
        near_empty=leakage.near_empty(profile),
        identifiers=leakage.identifiers(profile),
        notes=tuple(_notes(sample.rows, sample.of, sample.left_out, any(one.together for one in features))),
    )


def _notes(rows: int, of: int, left_out: Sequence[str], together: bool) -> list[str]:
    notes = []
    if rows < of:
        notes.append(
            f"What columns give away was looked for in a random sample of {rows:,} of {of:,} rows, the same each time."
        )
    if together and rows > TOGETHER_ROWS:
        notes.append(f"All columns together were tried on {TOGETHER_ROWS:,} of those rows.")
    if left_out:
        named = [f"“{column}”" for column in left_out[:_MOST_NAMED]]
        named += [f"{len(left_out) - _MOST_NAMED} more"] if len(left_out) > _MOST_NAMED else []
        notes.append(
            f"{list_text(named)} {'was' if len(left_out) == 1 else 'were'} not tried: names, addresses, keys and free "
            "text say much about single people, and no value of theirs may be shown."
        )
    return notes
