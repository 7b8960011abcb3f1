"""Datasets in the catalogue: numbers and keys that are never used again, superseding, deletion."""

from pathlib import Path

import pytest
from sqlalchemy.exc import StatementError

from mlpipe_dagster.errors import Conflict, StageLost, UnknownThing
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import datasets, ledger, removals, results
from mlpipe_dagster.warehouse.objects import FolderObjects, ObjectsUnavailable, plot_name
from mlpipe_dagster.warehouse.schema import Decision, LedgerRow, Pipeline, Question
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.warehouse import scenes


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_an_upload_that_cannot_be_recorded_leaves_no_file(warehouse: Warehouse, tmp_path: Path, home: Path) -> None:
    with pytest.raises(StatementError):
        scenes.upload(warehouse, tmp_path, custom_metadata={"not": {"json": object()}})
    assert files_below(home / "objects") == []
    assert scenes.outbox_rows(warehouse) == []


def test_a_number_is_never_used_again(warehouse: Warehouse, tmp_path: Path) -> None:
    assert scenes.upload(warehouse, tmp_path).version == "v1"
    datasets.delete_dataset(warehouse, "ann", "loans")
    assert scenes.upload(warehouse, tmp_path).version == "v2"


def test_a_partition_key_stays_with_its_first_owner(warehouse: Warehouse, tmp_path: Path) -> None:
    assert scenes.upload(warehouse, tmp_path).partition_key == "loans"
    assert scenes.upload(warehouse, tmp_path, user_id="bob").partition_key == "loans~bob"
    datasets.delete_dataset(warehouse, "ann", "loans")
    assert scenes.upload(warehouse, tmp_path, user_id="bob").partition_key == "loans~bob"
    assert scenes.upload(warehouse, tmp_path).partition_key == "loans"


def test_a_dataset_id_of_two_users_is_ambiguous_without_a_user(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    scenes.upload(warehouse, tmp_path, user_id="bob")
    with warehouse.reading() as session:
        with pytest.raises(Conflict, match="ann, bob"):
            datasets.find_key(session, "loans")
        assert datasets.find_key(session, "loans", "bob").partition_key == "loans~bob"
        assert datasets.find_key(session, "loans~bob").user_id == "bob"
        with pytest.raises(UnknownThing):
            datasets.find_key(session, "loans", "eve")


@pytest.mark.parametrize("version", ["v9", "9", "vv1", "v", "latest", "v1.0", "v²", "v-1", "v" + "9" * 30])
def test_what_is_no_version_is_unknown(warehouse: Warehouse, tmp_path: Path, version: str) -> None:
    scenes.upload(warehouse, tmp_path)
    with warehouse.reading() as session, pytest.raises(UnknownThing):
        datasets.get_version(session, "ann", "loans", version)


def test_a_new_upload_supersedes_and_a_later_save_stores_nothing(warehouse: Warehouse, tmp_path: Path) -> None:
    first = scenes.upload(warehouse, tmp_path)
    held = scenes.claim(warehouse, Stage.DATASET, scenes.upload_event(warehouse, first))
    second = scenes.upload(warehouse, tmp_path)
    parquet = tmp_path / "table.parquet"
    parquet.write_bytes(b"PAR1")
    before = len(scenes.outbox_rows(warehouse))
    with pytest.raises(StageLost, match="superseded by v2"):
        results.save_dataset(warehouse, held, first.id, parquet, scenes.profile())
    with warehouse.reading() as session:
        assert datasets.get_version(session, "ann", "loans", 1).profile is None
        statuses = {row.number: row.status for row in session.query(Pipeline)}
    assert statuses == {1: "superseded", 2: "running"}
    assert len(scenes.outbox_rows(warehouse)) == before
    assert second.version == "v2"


def test_superseding_closes_questions_and_leaves_other_users_alone(warehouse: Warehouse, tmp_path: Path) -> None:
    ask = {"custom_metadata": {"pipeline": {"mode": "ask"}}}
    for user_id in ("ann", "bob"):
        scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path, user_id=user_id, **ask))
    scenes.upload(warehouse, tmp_path)
    with warehouse.reading() as session:
        assert {row.user_id: row.status for row in session.query(Question)} == {"ann": "closed", "bob": "open"}


def test_deleting_removes_what_was_made_and_cancels_open_work(warehouse: Warehouse, tmp_path: Path, home: Path) -> None:
    version = scenes.read_table(warehouse, tmp_path, scenes.upload(warehouse, tmp_path))
    trigger = scenes.arrived(scenes.bias_trigger(), "bias-trigger-events", ce_id="t1", version="v1")
    scenes.claim(warehouse, Stage.BIAS, trigger, "run-bias")
    svg = tmp_path / "plot.svg"
    svg.write_text("<svg/>")
    warehouse.objects.put(plot_name("dataset", "ann", "loans", "v1"), svg)
    deleted = datasets.delete_dataset(warehouse, "ann", "loans")
    assert (deleted.versions, deleted.files, deleted.files_failed) == (1, 2, 0)
    assert deleted.open_runs == ("run-bias",)
    assert files_below(home / "objects") == []
    with warehouse.reading() as session:
        row = ledger.find(session, "bias", "t1")
        assert row is not None and (row.state, row.payload) == ("cancelled", {})
        assert {left.name for left in removals.runs_left(session) if left.kind == removals.RUN} == {
            f"run-{version.id}",
            "run-bias",
        }
        assert removals.objects_left(session) == []
        assert {decision.detail for decision in session.query(Decision)} == {""}
    assert {row.event_type for row in scenes.outbox_rows(warehouse)} == {"dataset.deleted"}
    event = scenes.value_of(scenes.outbox_rows(warehouse, "dataset.deleted")[0])
    assert (event["dataset_id"], event["version"]) == ("loans", "v1")


def test_a_missing_file_is_counted_when_deleting(warehouse: Warehouse, tmp_path: Path) -> None:
    version = scenes.upload(warehouse, tmp_path)
    warehouse.objects.delete(version.file_path)
    deleted = datasets.delete_dataset(warehouse, "ann", "loans")
    assert (deleted.files, deleted.files_failed) == (0, 1)


def test_what_an_unreachable_store_keeps_is_removed_later(
    warehouse: Warehouse, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = scenes.upload(warehouse, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(FolderObjects, "delete", unreachable)
        deleted = datasets.delete_dataset(warehouse, "ann", "loans")
        assert (deleted.versions, deleted.files, deleted.files_failed) == (1, 0, 1)
    with warehouse.reading() as session:
        left = removals.objects_left(session)
    assert version.file_path in left and files_below(home / "objects") != []
    removals.remove_objects(warehouse, left)
    assert files_below(home / "objects") == []
    with warehouse.reading() as session:
        assert removals.objects_left(session) == []


def unreachable(self: FolderObjects, name: str) -> bool:
    raise ObjectsUnavailable(f"no answer about {name}")


def test_a_run_that_lost_its_dataset_leaves_no_table_behind(warehouse: Warehouse, tmp_path: Path, home: Path) -> None:
    version = scenes.upload(warehouse, tmp_path)
    claim = scenes.claim(warehouse, Stage.DATASET, scenes.upload_event(warehouse, version))
    datasets.delete_dataset(warehouse, "ann", "loans")
    parquet = tmp_path / "table.parquet"
    parquet.write_bytes(b"PAR1")
    with pytest.raises(StageLost, match="the dataset was deleted"):
        results.save_dataset(warehouse, claim, version.id, parquet, scenes.profile())
    assert files_below(home / "objects") == []


def test_a_superseded_row_of_a_deleted_version_gets_no_foreign_result(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    trigger = scenes.arrived(scenes.bias_trigger(), "bias-trigger-events", ce_id="t1", version="v1")
    with warehouse.transaction() as session:
        ledger.enter(session, warehouse, Stage.BIAS, trigger)
    scenes.upload(warehouse, tmp_path)
    datasets.delete_dataset(warehouse, "ann", "loans", "v1")
    assert results.receive_bias_report(warehouse, "ann", "loans", {}, None, None).number == 2
    with warehouse.reading() as session:
        assert session.query(LedgerRow).one().state == "cancelled"


def test_search_takes_percent_and_underscore_as_they_are(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path, "one", name="100% sure", tags=("a", "b"))
    scenes.upload(warehouse, tmp_path, "two", name="100 sure", tags=("b",))
    with warehouse.reading() as session:

        def found(text: str | None, tags: tuple[str, ...] = (), file_type: str | None = None) -> set[str]:
            rows = datasets.search_datasets(session, "ann", text, tags, file_type, 0, 100)
            return {row.dataset_id for row in rows}

        assert found("100%") == {"one"}
        assert found("_") == set()
        assert found("SURE") == {"one", "two"}
        assert found(None, ("a", "x")) == {"one"}
        assert found(None, (), "parquet") == set()
