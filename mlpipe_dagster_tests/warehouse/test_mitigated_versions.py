"""A version that a mitigation made: beside the one it was made of, never the latest, gone with it."""

from pathlib import Path
from typing import Any

import pytest

from mlpipe_dagster.errors import UnknownThing
from mlpipe_dagster.vocabulary import Stage, TaskKind
from mlpipe_dagster.warehouse import datasets, pipelines, results
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.warehouse import scenes

DONE: dict[str, Any] = {"method": "resampling", "target": "paid", "sensitive": ["sex"]}


@pytest.fixture
def mitigated(warehouse: Warehouse, tmp_path: Path) -> Warehouse:
    """The table of the scenes as v1, and what a resampling made of it as v2."""
    version = scenes.upload(warehouse, tmp_path)
    scenes.read_table(warehouse, tmp_path, version)
    (row,) = scenes.outbox_rows(warehouse, "bias-trigger.reported")
    trigger = scenes.arrived(scenes.bias_trigger(), row.topic, ce_id=row.ce_id, version="v1")
    claim = scenes.claim(warehouse, Stage.BIAS, trigger)
    file = tmp_path / "loans-mitigated.parquet"
    file.write_bytes(b"PAR1")
    warehouse.objects.put("datasets/rows", file)
    rows = datasets.Upload(
        user_id="ann", dataset_id="loans", name="Loans", filename=file.name, file=file, file_type="parquet",
        file_size=4, file_hash="1" * 32, tags=("mitigated",), custom_metadata={"mitigation": DONE},
    )  # fmt: skip
    report = {"schema_version": "1.0", "before_after": []}
    new = results.NewMitigation(report, rows, "datasets/rows", DONE)
    results.save_bias_report(warehouse, claim, {}, "paid", TaskKind.BINARY, new)
    return warehouse


def test_the_uploaded_version_stays_the_latest(mitigated: Warehouse) -> None:
    with mitigated.reading() as session:
        assert datasets.get_version(session, "ann", "loans").version == "v1"
        assert [one.version for one in datasets.list_datasets(session, "ann", 0, 10)] == ["v1"]
        assert [one.version for one in datasets.list_versions(session, "ann", "loans")] == ["v2", "v1"]
        source = datasets.get_version(session, "ann", "loans", "v1")
        made = datasets.mitigated_of(session, source, DONE)
        assert made is not None
        assert (made.version, made.tags, made.derived_from) == ("v2", ["mitigated"], 1)
        assert datasets.mitigated_of(session, source, DONE | {"method": "reweighing"}) is None
        with pytest.raises(UnknownThing, match="v2 of loans is what a mitigation made of v1"):
            pipelines.pipeline_object(session, mitigated.settings, "loans", version="v2")
    (change,) = scenes.outbox_rows(mitigated, "dataset.mitigated")
    assert scenes.value_of(change)["changes"] == {"derived_from": "v1", **DONE}
    assert len(scenes.outbox_rows(mitigated, "dataset.uploaded")) == 1


def test_the_next_upload_takes_the_next_number(mitigated: Warehouse, tmp_path: Path) -> None:
    assert scenes.upload(mitigated, tmp_path).version == "v3"


def test_it_goes_with_the_version_it_was_made_of(mitigated: Warehouse) -> None:
    deleted = datasets.delete_dataset(mitigated, "ann", "loans", "v1")
    assert (deleted.versions, deleted.files_failed) == (2, 0)
    with mitigated.reading() as session:
        assert datasets.list_versions(session, "ann", "loans") == []
