"""Objects that killed work has stored and never recorded: removed once they are old, and nothing else is."""

import os
import time
from pathlib import Path

from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse import interventions, removals
from mlpipe_dagster.warehouse.leftovers import remove_leftovers
from mlpipe_dagster.warehouse.results import save_dataset
from mlpipe_dagster.warehouse.schema import LedgerRow
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse
from mlpipe_dagster_tests.stopping import Line, run_until
from mlpipe_dagster_tests.warehouse import scenes

DAYS = 2 * 86400


def grow_old(home: Path) -> None:
    """All objects become two days old."""
    for path in (home / "objects").rglob("*"):
        os.utime(path, (time.time() - DAYS,) * 2)


def objects(warehouse: Warehouse, place: str) -> list[str]:
    return [name for name, _ in warehouse.objects.stored(place)]


def read_the_table(folder: str) -> None:
    """What a run of the dataset stage does when its work is done, for the newest upload."""
    warehouse, parquet = open_warehouse(), Path(folder) / "table.parquet"
    version = scenes.upload(warehouse, Path(folder))
    held = scenes.claim(warehouse, Stage.DATASET, scenes.upload_event(warehouse, version))
    parquet.write_bytes(b"PAR1")
    save_dataset(warehouse, held, version.id, parquet, scenes.profile())


def test_what_a_killed_run_has_stored_is_removed_when_nobody_can_record_it(
    warehouse: Warehouse, home: Path, tmp_path: Path
) -> None:
    line = Line("mlpipe_dagster.warehouse.results:save_dataset", "with warehouse.storing(")
    run_until(line, f"{__name__}:read_the_table", str(tmp_path))
    (uploaded,) = objects(warehouse, "datasets")
    (orphan,) = objects(warehouse, "tables")
    assert remove_leftovers(warehouse) == 0, "it may be just about to be recorded"
    grow_old(home)
    assert remove_leftovers(warehouse) == 0, "its run counts as being at work: the machine may have slept"
    interventions.cancel_pipeline(warehouse, "loans", "ann", by="ann")
    assert remove_leftovers(warehouse) == 1
    assert (objects(warehouse, "datasets"), objects(warehouse, "tables")) == ([uploaded], [])
    assert warehouse.objects.delete(orphan) is False


def test_an_upload_that_was_killed_leaves_nothing_for_long(warehouse: Warehouse, home: Path, tmp_path: Path) -> None:
    line = Line("mlpipe_dagster.warehouse.datasets:store_upload", "with warehouse.storing(")
    run_until(line, f"{__name__}:read_the_table", str(tmp_path))
    part = home / "objects" / "datasets" / "ann" / ".part-killed"  # of a copy that was killed in the middle
    part.write_bytes(b"half")
    assert len(objects(warehouse, "datasets")) == 2
    grow_old(home)
    assert remove_leftovers(warehouse) == 2
    assert objects(warehouse, "datasets") == []


def test_what_is_still_to_be_removed_is_counted_for_each_person(any_warehouse: Warehouse, tmp_path: Path) -> None:
    for user_id in ("ann", "bob"):
        version = scenes.upload(any_warehouse, tmp_path, user_id=user_id)
        held = scenes.claim(any_warehouse, Stage.DATASET, scenes.upload_event(any_warehouse, version), f"run-{user_id}")
        with any_warehouse.transaction() as session:
            removals.note_runs(session, [session.get_one(LedgerRow, held.row_id)])
            removals.note_objects(session, [f"tables/{user_id}/loans/1/table.parquet", f"tables/{user_id}s/x/1/f"])
    with any_warehouse.reading() as session:
        assert removals.count_left(session, "ann", ["datasets/ann", "tables/ann"]) == 3, "a table, a run, its work"
        assert removals.count_left(session, "Ann", ["tables/Ann"]) == 0
