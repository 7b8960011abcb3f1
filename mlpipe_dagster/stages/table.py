"""The table that a stage works on: the version its claim is pinned to, as Parquet with a profile."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mlpipe_dagster.bias.sensitive import find_sensitive
from mlpipe_dagster.bias.target import choose_positive
from mlpipe_dagster.choices import Choices, settle
from mlpipe_dagster.tables.convert import to_parquet
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.warehouse import datasets, decisions, results
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.objects import object_name, plot_name
from mlpipe_dagster.warehouse.results import StoredFile
from mlpipe_dagster.warehouse.schema import DatasetVersion
from mlpipe_dagster.warehouse.warehouse import Warehouse


@dataclass(frozen=True)
class Table:
    """A dataset version that has been read."""

    version: DatasetVersion
    parquet: Path
    profile: Profile
    choices: Choices | None

    def settled(self, claim: Claim) -> tuple[str, TaskKind]:
        """Target and task of the claim's trigger; raises TargetError or TaskError."""
        payload = claim.payload
        return settle(self.profile, payload.get("target_column_name"), payload.get("task_type"), self.choices)

    def sensitive(self, target: str) -> tuple[str, ...]:
        """The pipeline's recorded sensitive columns, else those found by name and values; never the target."""
        found = self.choices.sensitive if self.choices else (item.column for item in find_sensitive(self.profile))
        return tuple(name for name in found if name != target)

    def dropped(self, target: str) -> tuple[str, ...]:
        """The columns that a person wants no model trained on; never the target."""
        return tuple(name for name in (self.choices.drop if self.choices else ()) if name != target)

    def positive(self, target: str, task: TaskKind) -> str | None:
        """Of two classes the one that a person named for this target, else the one that the bias report takes."""
        column = self.profile.column(target)
        if task is not TaskKind.BINARY or column is None:
            return None
        named, _ = comparison_named(self.choices, target)
        return choose_positive(target, {one.value: one.count for one in column.top_values}, named)[0]


def comparison_named(choices: Choices | None, target: str) -> tuple[str | None, str | None]:
    """The positive class and the conditioning column that a person has named for this target."""
    if choices is None or choices.target != target:
        return None, None
    return choices.positive, choices.conditioning


def pinned_version(warehouse: Warehouse, claim: Claim) -> DatasetVersion:
    """The version this claim is about, whatever has been uploaded since; raises UnknownThing."""
    with warehouse.reading() as session:
        return datasets.get_version(session, claim.owner.user_id, claim.owner.dataset_id, claim.owner.number)


@contextmanager
def open_table(warehouse: Warehouse, claim: Claim) -> Iterator[Table]:
    """The claim's table; read from the uploaded file when the dataset stage has not done so yet."""
    version = pinned_version(warehouse, claim)
    profile = datasets.profile_of(version)
    if profile is None or version.parquet_path is None:
        with tempfile.TemporaryDirectory(prefix="mlpipe-") as folder:
            parquet = Path(folder) / "table.parquet"
            profile = read_upload(warehouse, version, parquet)
            version = results.ensure_table(warehouse, version, parquet, profile)
    with warehouse.reading() as session:
        choices = decisions.recorded_choices(session, claim.owner)
    with warehouse.objects.local(str(version.parquet_path)) as parquet:
        yield Table(version, parquet, profile, choices)


def read_upload(warehouse: Warehouse, version: DatasetVersion, parquet: Path) -> Profile:
    """Turn the uploaded file into typed Parquet; raises TableError with what to do."""
    with warehouse.objects.local(version.file_path) as source:
        return to_parquet(source, version.original_filename, parquet)


def store_file(
    warehouse: Warehouse, file: Path, *parts: str, content_type: str, is_primary: bool = False
) -> StoredFile:
    """Put a file of a result into the objects under `parts`, with its SHA-256."""
    name = object_name(*parts, file.name)
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    warehouse.objects.put(name, file)
    return StoredFile(file.name, name, file.stat().st_size, digest, content_type, is_primary)


def store_plot(warehouse: Warehouse, asset: str, version: DatasetVersion, svg: str) -> None:
    """The small picture that the Dagster UI shows with the materialization."""
    with tempfile.TemporaryDirectory(prefix="mlpipe-") as folder:
        file = Path(folder) / "plot.svg"
        file.write_text(svg, encoding="utf-8")
        warehouse.objects.put(plot_name(asset, version.user_id, version.dataset_id, version.version), file)
