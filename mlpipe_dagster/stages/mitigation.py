"""What the stages do about bias, where the pipeline's choices say so: the changed rows stored, the report made.

The arithmetic is in bias/mitigation/; a training applies the method to the rows it fits on (automl/).
"""

import hashlib
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipe_dagster.bias.measure import measure_bias
from mlpipe_dagster.bias.mitigation.report import TransformationReport
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.stages.table import Table
from mlpipe_dagster.tables.load import load
from mlpipe_dagster.vocabulary import Mitigation, TaskKind
from mlpipe_dagster.warehouse import datasets, reports
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.objects import object_name
from mlpipe_dagster.warehouse.results import NewMitigation
from mlpipe_dagster.warehouse.warehouse import Warehouse

if TYPE_CHECKING:
    import pandas as pd

MITIGATED = "mitigated"
MOST_CELLS = 50_000_000
"""Larger tables are mitigated in training all the same; the changed rows are not stored as a version."""


def mitigation_of(table: Table, sensitive: tuple[str, ...]) -> Mitigation | None:
    """What the pipeline's choices say is done; nothing where no sensitive column is left."""
    return table.choices.mitigation if table.choices and sensitive else None


def mitigate_table(
    warehouse: Warehouse, table: Table, report: BiasReport, sensitive: tuple[str, ...]
) -> NewMitigation | None:
    """The chosen mitigation of a table that was just measured; its changed rows are in the objects then."""
    method = mitigation_of(table, sensitive)
    if method is None:
        return None
    from mlpipe_dagster.bias.mitigation.apply import mitigate

    found = mitigate(load(table.parquet), report, sensitive, method)
    if found.table is None:
        return NewMitigation(found.report.model_dump(mode="json"))
    if found.table.size > MOST_CELLS:
        note = f"The changed rows are not stored as a version: the table has over {MOST_CELLS:,} cells."
        notes = (*found.report.notes, note)
        return NewMitigation(found.report.model_copy(update={"notes": notes}).model_dump(mode="json"))
    return _with_rows(warehouse, table, found.report, found.table)


def _with_rows(warehouse: Warehouse, table: Table, report: TransformationReport, rows: "pd.DataFrame") -> NewMitigation:
    source = table.version
    done: dict[str, Any] = {
        "method": report.method.value,
        "target": report.target,
        "sensitive": list(report.sensitive),
    }
    with warehouse.reading() as session:
        before = datasets.mitigated_of(session, source, done)
    if before is not None:
        return NewMitigation(report.model_copy(update={"mitigated_version": before.version}).model_dump(mode="json"))
    filename = f"{Path(source.original_filename).stem}-{MITIGATED}.parquet"
    path = object_name("datasets", source.user_id, source.dataset_id, uuid.uuid4().hex, filename)
    with tempfile.TemporaryDirectory(prefix="mlpipe-") as folder:
        file = Path(folder) / filename
        rows.to_parquet(file, index=False)
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "md5").hexdigest()
        size = file.stat().st_size
        warehouse.objects.put(path, file)
    upload = datasets.Upload(
        user_id=source.user_id,
        dataset_id=source.dataset_id,
        name=source.name,
        filename=filename,
        file=file,
        file_type="parquet",
        file_size=size,
        file_hash=digest,
        description=f"{source.version} with {report.method.value} for {', '.join(report.sensitive)}.",
        tags=(*map(str, source.tags), MITIGATED),
        custom_metadata={"mitigation": done},
        columns=[str(name) for name in rows.columns],
        row_count=len(rows),
        data_types={str(name): str(kind) for name, kind in rows.dtypes.items()},
    )
    return NewMitigation(report.model_dump(mode="json"), upload, path, done)


def transformation_of(
    warehouse: Warehouse, claim: Claim, table: Table, target: str, task: TaskKind
) -> TransformationReport | None:
    """What a training has to apply: as the bias stage of ours recorded it, else made now; None without mitigation."""
    sensitive = table.sensitive(target)
    method = mitigation_of(table, sensitive)
    if method is None:
        return None
    with warehouse.reading() as session:
        row = reports.get_transformation_report(session, claim.owner)
    if row is not None and reports.is_ours(row):
        known = TransformationReport.model_validate(row.report)
        if (known.method, known.target, known.sensitive) == (method, target, sensitive):
            return known
    from mlpipe_dagster.bias.mitigation.apply import mitigate

    measured = measure_bias(table.parquet, table.profile, target=target, task=task, sensitive=sensitive)
    return mitigate(load(table.parquet), measured, sensitive, method).report
