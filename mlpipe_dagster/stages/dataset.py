"""Stage `dataset`: an uploaded file becomes typed Parquet with a profile; the agentic core decides in the same save."""

import tempfile
from pathlib import Path

from mlpipe_dagster.choices import Wishes
from mlpipe_dagster.reports.plots import data_plot
from mlpipe_dagster.stages.outcome import Check, StageOutcome
from mlpipe_dagster.stages.table import pinned_version, read_upload, store_plot
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.warehouse import decisions, links, results
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.schema import DatasetVersion
from mlpipe_dagster.warehouse.warehouse import Warehouse

FEWEST_ROWS = 50


def read_dataset(warehouse: Warehouse, claim: Claim) -> StageOutcome:
    """Read the file, store Parquet, profile and decision.

    Raises
    ------
    TableError
        The file is not a usable table.
    StageLost
        A newer version was uploaded, or the pipeline was cancelled, while it was read.
    """
    version = pinned_version(warehouse, claim)
    with tempfile.TemporaryDirectory(prefix="mlpipe-") as folder:
        parquet = Path(folder) / "table.parquet"
        profile = read_upload(warehouse, version, parquet)
        version = results.save_dataset(warehouse, claim, version.id, parquet, profile)
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, claim.owner)
    target = choices.target if choices else Wishes.from_metadata(version.custom_metadata).target_column_name
    store_plot(warehouse, "dataset", version, data_plot(profile, target if profile.column(target or "") else None))
    return _outcome(warehouse, version, profile, target)


def _outcome(warehouse: Warehouse, version: DatasetVersion, profile: Profile, target: str | None) -> StageOutcome:
    settings = warehouse.settings
    notes = "".join(f"\n- {note}" for note in profile.notes)
    return StageOutcome(
        summary=f"{profile.row_count:,} rows, {len(profile.columns)} columns of {version.file_type}.{notes}",
        data_version=version.file_hash or version.version,
        numbers={
            "columns": len(profile.columns),
            "missing values": sum(column.missing for column in profile.columns),
            "duplicate rows": profile.duplicate_rows,
            "version": version.version,
        },
        links={"pipeline": links.pipeline_link(settings, version.partition_key, version.user_id)},
        checks=_quality_checks(profile, target),
        row_count=profile.row_count,
        columns={column.name: column.data_type for column in profile.columns},
    )


def _quality_checks(profile: Profile, target: str | None) -> tuple[Check, ...]:
    constant = [column.name for column in profile.columns if column.kind in ("constant", "empty")]
    missing = (profile.column(target or "") or profile.columns[0]).missing if target else 0
    found = target is None or profile.column(target) is not None
    return (
        Check(
            "no_duplicate_rows", profile.duplicate_rows == 0, f"{profile.duplicate_rows} rows appear more than once."
        ),
        Check(
            "no_constant_columns",
            not constant,
            f"Columns with a single value or none: {', '.join(constant[:20]) or 'none'}.",
        ),
        Check(
            "target_is_complete",
            found and missing == 0,
            f"{missing} rows lack the target {target}."
            if found and target
            else f"Target: {target or 'not chosen yet'}.",
        ),
        Check(
            "enough_rows",
            profile.row_count >= FEWEST_ROWS,
            f"{profile.row_count} rows; fewer than {FEWEST_ROWS} say little about new cases.",
        ),
    )
