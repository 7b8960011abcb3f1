"""Stage `dataset`: an uploaded file becomes typed Parquet with a profile; the agentic core decides in the same save."""

import tempfile
from pathlib import Path

from mlpipe_dagster.choices import Wishes
from mlpipe_dagster.reports.plots import data_plot
from mlpipe_dagster.stages.outcome import Check, Column, Say, StageOutcome
from mlpipe_dagster.stages.table import pinned_version, read_upload, store_plot
from mlpipe_dagster.tables.excerpt import MOST_ROWS
from mlpipe_dagster.tables.load import preview
from mlpipe_dagster.tables.profile import ColumnProfile, Profile
from mlpipe_dagster.warehouse import decisions, links, results
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.schema import DatasetVersion
from mlpipe_dagster.warehouse.warehouse import Warehouse

FEWEST_ROWS = 50


def read_dataset(warehouse: Warehouse, claim: Claim, say: Say) -> StageOutcome:
    """Read the file, store Parquet, profile and decision.

    Raises
    ------
    TableError
        The file is not a usable table.
    StageLost
        A newer version was uploaded, or the pipeline was cancelled, while it was read.
    """
    version = pinned_version(warehouse, claim)
    say(f"Reading {version.original_filename} ({version.file_size:,} bytes).")
    with tempfile.TemporaryDirectory(prefix="mlpipe-") as folder:
        parquet = Path(folder) / "table.parquet"
        profile = read_upload(warehouse, version, parquet)
        rows = _first_rows(warehouse, claim, version, parquet, profile)
        version = results.save_dataset(warehouse, claim, version.id, parquet, profile, rows)
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, claim.owner)
    target = choices.target if choices else Wishes.from_metadata(version.custom_metadata).target_column_name
    store_plot(warehouse, "dataset", version, data_plot(profile, target if profile.column(target or "") else None))
    return _outcome(warehouse, version, profile, target)


def _first_rows(
    warehouse: Warehouse, claim: Claim, version: DatasetVersion, parquet: Path, profile: Profile
) -> list[dict[str, str]]:
    """What a question about the table shows of it, without what identifies people."""
    with warehouse.reading() as session:
        asks = decisions.asks_for_target(session, warehouse, claim, version)
    hidden = [column.name for column in profile.columns if column.personal]
    return preview(parquet, MOST_ROWS, hidden) if asks else []


def _outcome(warehouse: Warehouse, version: DatasetVersion, profile: Profile, target: str | None) -> StageOutcome:
    size = f"{profile.row_count:,} rows and {len(profile.columns)} columns, read from {version.original_filename}."
    return StageOutcome(
        summary="\n".join((f"{size} {_about_target(profile, target)}", *profile.notes)),
        data_version=version.file_hash or version.version,
        numbers={
            "version": version.version,
            "target": target or "not chosen yet",
            "columns": len(profile.columns),
            "missing values": sum(column.missing for column in profile.columns),
            "duplicate rows": profile.duplicate_rows,
        },
        links={"pipeline page": links.pipeline_link(warehouse.settings, version.partition_key, version.user_id)},
        checks=_quality_checks(profile, target),
        row_count=profile.row_count,
        columns=tuple(Column(of.name, of.data_type, _described(of, target)) for of in profile.columns),
    )


def _about_target(profile: Profile, target: str | None) -> str:
    if not target:
        return "What to predict is not chosen yet."
    if profile.column(target) is None:
        return f"The target column “{target}” is not among them."
    return f"“{target}” is to be predicted."


def _described(column: ColumnProfile, target: str | None) -> str:
    """A column in a few words: `target, category, 2 values, 3 missing`."""
    words = ["target"] if column.name == target else []
    words += [column.kind, "1 value" if column.distinct == 1 else f"{column.distinct:,} values"]
    words += [f"{column.missing:,} missing"] if column.missing else []
    words += [f"identifies people ({column.personal})"] if column.personal else []
    return ", ".join(words)


def _quality_checks(profile: Profile, target: str | None) -> tuple[Check, ...]:
    constant = [column.name for column in profile.columns if column.kind in ("constant", "empty")]
    repeated = profile.duplicate_rows
    return (
        Check(
            "no_duplicate_rows",
            repeated == 0,
            f"{repeated:,} of {profile.row_count:,} rows repeat an earlier one." if repeated else "No row is repeated.",
        ),
        Check(
            "no_constant_columns",
            not constant,
            f"Columns with a single value or none: {', '.join(constant[:20])}."
            if constant
            else "Every column has at least two values.",
        ),
        _target_check(profile, target),
        Check(
            "enough_rows",
            profile.row_count >= FEWEST_ROWS,
            f"{profile.row_count:,} rows. Fewer than {FEWEST_ROWS} would say little about new cases.",
        ),
    )


def _target_check(profile: Profile, target: str | None) -> Check:
    name = "target_is_complete"
    column = profile.column(target) if target else None
    if column is None:
        return Check(name, not target, _about_target(profile, target), severity="error" if target else "warn")
    if column.missing:
        return Check(name, False, f"{column.missing:,} of {profile.row_count:,} rows have no “{target}”.")
    return Check(name, True, f"“{target}” is filled in every row.")
