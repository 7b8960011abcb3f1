"""Stages with next to no work in them: for the fault suite and the latency benchmark.

They claim, save, decide and announce exactly as the real ones do; only reading, measuring, training and explaining are
left out. Each needs no library that the code location has not loaded.
"""

import hashlib
import tempfile
from pathlib import Path

from mlpipe_dagster.stages.outcome import Say, StageOutcome
from mlpipe_dagster.tables.profile import ColumnProfile, Profile
from mlpipe_dagster.vocabulary import Level, ReportType, TaskKind
from mlpipe_dagster.warehouse import datasets, pipelines, results
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.objects import object_name
from mlpipe_dagster.warehouse.results import NewExplanation, NewModel, StoredFile
from mlpipe_dagster.warehouse.warehouse import Warehouse

PROFILE = Profile(
    row_count=4,
    columns=(
        ColumnProfile(name="hours", data_type="int64", kind="number", missing=0, distinct=4),
        ColumnProfile(name="target", data_type="object", kind="category", missing=0, distinct=2),
    ),
    duplicate_rows=0,
)
TABLE = b"hours,target\n1,no\n2,no\n3,yes\n4,yes\n"


def _file(warehouse: Warehouse, claim: Claim, name: str, content: bytes) -> StoredFile:
    place = object_name("quick", claim.owner.user_id, claim.owner.dataset_id, f"{claim.row_id}-{claim.run_id}", name)
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        warehouse.objects.put(place, Path(file.name))
    return StoredFile(name, place, len(content), hashlib.sha256(content).hexdigest(), "text/plain", is_primary=True)


def read(warehouse: Warehouse, claim: Claim, say: Say) -> StageOutcome:
    """A profile that is known beforehand."""
    owner = claim.owner
    with warehouse.reading() as session:
        version = datasets.get_version(session, owner.user_id, owner.dataset_id, owner.number)
    with tempfile.NamedTemporaryFile() as file:
        results.save_dataset(warehouse, claim, version.id, Path(file.name), PROFILE)
    return StageOutcome("read", f"quick/{claim.row_id}")


def measure(warehouse: Warehouse, claim: Claim, say: Say) -> StageOutcome:
    """A report that says nothing."""
    results.save_bias_report(warehouse, claim, {"quick": True}, "target", TaskKind.BINARY)
    return StageOutcome("measured", f"quick/{claim.row_id}")


def train(warehouse: Warehouse, claim: Claim, say: Say) -> StageOutcome:
    """A model that is a text file."""
    model = NewModel(
        model_id=f"automl_{claim.owner.dataset_id}",
        name="quick",
        framework="other",
        model_type="classification",
        files=(_file(warehouse, claim, "model.txt", b"no model"),),
        test_accuracy=0.5,
    )
    results.save_model(warehouse, claim, model, TaskKind.BINARY)
    return StageOutcome("trained", f"quick/{claim.row_id}")


def explain(warehouse: Warehouse, claim: Claim, say: Say) -> StageOutcome:
    """Two pages that are one line each."""
    level = Level(claim.payload.get("level") or Level.BEGINNER)
    with warehouse.reading() as session:
        model = pipelines.latest_model_of(session, claim.owner)
    assert model is not None
    pages = [
        NewExplanation(kind, level, _file(warehouse, claim, f"{kind}.html", b"<!doctype html><h1>quick</h1>"))
        for kind in ReportType
    ]
    results.save_explanations(warehouse, claim, model, pages, level)
    return StageOutcome("explained", f"quick/{claim.row_id}")
