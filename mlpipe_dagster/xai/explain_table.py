"""Explain a table: everything its three pages show, computed once; the parts are in the modules beside this one."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai import summary
from mlpipe_dagster.xai.data_explanation import DataExplanation, Drift, Relation
from mlpipe_dagster.xai.pieces import said
from mlpipe_dagster.xai.relations import ROWS, compared, drift, relations, sampled


def explain_data(
    profile: Profile,
    *,
    target: str | None,
    task: TaskKind | None,
    bias: BiasReport | None,
    table: pd.DataFrame | None = None,
    test_rows: Sequence[int] = (),
    seed: int = 0,
) -> DataExplanation:
    """Explain a table: contents, gaps, target, suspicious columns, and what `bias` found, where it was measured.

    With the `table` itself also what relates to the target, and, with the positions of a model's `test_rows`, how
    these differ from the rows it learned from.
    """
    rows, columns = profile.row_count, profile.columns
    missing, cells = sum(column.missing for column in columns), rows * len(columns)
    aim = profile.column(target) if target else None
    values, known = summary.target_values(aim, task), rows - aim.missing if aim else 0
    sizes = [count for _, count in values]
    related, differing, compared = _compared(profile, target, task, table, test_rows, seed)
    return DataExplanation(
        target=target,
        task=task,
        row_count=rows,
        column_count=len(columns),
        duplicate_rows=profile.duplicate_rows,
        duplicate_share=profile.duplicate_rows / max(rows, 1),
        cells=cells,
        missing_cells=missing,
        missing_share=missing / max(cells, 1),
        kinds=dict(Counter(str(column.kind) for column in columns).most_common()),
        columns=tuple(summary.column_summary(column, rows) for column in columns),
        target_values=values,
        target_known=known,
        target_other=max(known - sum(sizes), 0) if values else 0,
        target_smallest_share=min(sizes) / known if sizes and known else None,
        target_largest_share=max(sizes) / known if sizes and known else None,
        target_histogram=aim.histogram if aim and not values else (),
        relations=related,
        relations_rows=min(rows, ROWS) if related else 0,
        drift=differing,
        drift_rows=compared if differing else None,
        suspicions=(*summary.leaking(related, bias), *summary.suspicions(profile, target)),
        bias_measured=bias is not None,
        bias_verdict=bias.verdict if bias else "",
        bias_findings=summary.bias_findings(bias) if bias else (),
        sensitive=summary.sensitive_columns(bias) if bias else (),
        notes=tuple(said(note) for note in profile.notes),
    )


def _compared(
    profile: Profile,
    target: str | None,
    task: TaskKind | None,
    table: pd.DataFrame | None,
    test_rows: Sequence[int],
    seed: int,
) -> tuple[tuple[Relation, ...], tuple[Drift, ...], tuple[int, int]]:
    """Relations to the target, drift between the splits, and the rows of these."""
    if table is None:
        return (), (), (0, 0)
    others = compared(profile, {target} if target else ())
    related = relations(sampled(table, seed), others, target, task, seed) if target and task else ()
    inside = np.zeros(len(table), dtype=bool)
    inside[list(test_rows)] = True
    learned, tested = sampled(table[~inside], seed), sampled(table[inside], seed)
    return related, drift(learned, tested, others), (len(learned), len(tested))
