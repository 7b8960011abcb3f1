"""Everything of a person, given and erased: what is in the zip, what is gone, what the receipt says remains."""

import io
import json
import zipfile
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import inspect, select

from mlpipe_dagster.agentic_core import Notice
from mlpipe_dagster.vocabulary import AccessRole, Stage
from mlpipe_dagster.warehouse import datasets, deliveries, inbox, keys, persons, removals
from mlpipe_dagster.warehouse.audit_rows import AuditRow
from mlpipe_dagster.warehouse.leftovers import remove_leftovers
from mlpipe_dagster.warehouse.objects import CHECKS, PERSONAL, object_name, plot_name
from mlpipe_dagster.warehouse.schema import LedgerRow, OutboxRow, Removal, Row
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.api.requests import CSV
from mlpipe_dagster_tests.warehouse import scenes
from mlpipe_dagster_tests.warehouse.test_leftovers import grow_old

PAGE = b"<p>why</p>"
EXPERTS = {"report_type": "model_explanation", "level": "expert"}
ANN = {"user_id": "ann", "username": "ann a.", "email": "ann@example.org", "password": "p"}


@pytest.fixture
def ann(client: TestClient, warehouse: Warehouse, tmp_path: Path) -> TestClient:
    """Two people have everything one can have: two tables, one at work, a question, models, explanations, a key."""
    for user_id in ("ann", "bob"):
        for dataset_id in (f"loans-{user_id}", f"flats-{user_id}"):
            fields = {"user_id": user_id, "dataset_id": dataset_id, "name": "n", "mode": "ask", "respondents": "ann"}
            stored = client.post("/datasets/upload", data=fields, files={"file": ("a.csv", CSV)})
            assert stored.status_code == 200
        model = {"model_id": "m", "name": "M", "framework": "onnx", "model_type": "classification"}
        more = {"training_dataset": f"loans-{user_id}"}
        for fields in (model | more, model | {"model_id": "without-dataset"}):
            answer = client.post(f"/ai-models/upload/single/{user_id}", data=fields, files={"file": ("m.onnx", b"m")})
            assert answer.status_code == 200, answer.text
        page = {"dataset_id": f"loans-{user_id}", "model_id": "m"} | EXPERTS
        for content in (b"<p>before</p>", PAGE):
            answer = client.post(f"/xai-reports/upload/{user_id}", data=page, files={"file": ("a.html", content)})
            assert answer.status_code == 200, answer.text
        report = {"user_id": user_id, "dataset_id": f"loans-{user_id}", "report": {"fair": True}}
        assert client.post("/bias-reports/", json=report).status_code == 200
        assert client.post("/transformation-reports/", json=report | {"version": "v1"}).status_code == 200
        with warehouse.transaction() as session:
            keys.create_key(session, user_id, AccessRole.USER)
            deliveries.set_channels(session, user_id, [f"json://127.0.0.1:1/{user_id}"], (), user_id)
    assert client.post("/users/", json=ANN).status_code == 200
    assert client.put("/users/ann/policy", json={"time_budget": "10m"}).status_code == 200
    with warehouse.reading() as session:
        version, of_bob = (
            session.scalars(select(persons.DatasetVersion).where(persons.DatasetVersion.user_id == user_id)).first()
            for user_id in ("ann", "bob")
        )
    assert version is not None and of_bob is not None
    scenes.read_table(warehouse, tmp_path, version)
    scenes.read_table(warehouse, tmp_path, of_bob)
    at_work = scenes.arrived(
        scenes.bias_trigger(version.dataset_id), "bias-trigger-events", ce_id="t-1", version="v1", offset=7
    )
    scenes.claim(warehouse, Stage.BIAS, at_work, "run-at-work")
    with warehouse.transaction() as session:
        inbox.notify(session, datasets.owner_of(version), Notice("Look", "at this"), "n-1")
    return client


def test_the_zip_holds_everything(ann: TestClient) -> None:
    answer = ann.get("/users/ann/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="ann.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        names = set(archive.namelist())
        documents = {name: json.loads(archive.read(name)) for name in names if "/" not in name}
        assert archive.read("datasets/loans-ann/v1/a.csv") == CSV
        assert archive.read("explanations/loans-ann/m/model_explanation-expert.html") == PAGE
        folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == {"datasets", "models", "explanations", "history"}
    assert {"models/without-dataset/v1/m.onnx", "models/m/v1/m.onnx"} <= names
    for name, kind in {**persons.ERASED, **persons.EMPTIED, **persons.KEPT}.items():
        assert documents[f"{name}.json"], f"the scene has nothing in {kind.__tablename__}"
    assert documents["record.json"][0]["email"] == "ann@example.org"
    assert documents["bias_reports.json"][0]["report"] == {"fair": True}
    text = json.dumps(documents)
    assert "bob" not in text and "secret_hash" not in text


def test_erasing_leaves_ids_and_nothing_else(ann: TestClient, warehouse: Warehouse, home: Path) -> None:
    orphan = home / "objects" / "tables" / "ann" / "loans" / "killed" / "table.parquet"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"PAR1")
    before = ann.get("/users/bob/export").content
    with warehouse.transaction() as session:  # of others: the letters of an id count
        removals.note_objects(session, ["datasets/bob/x/1/f", "datasets/Ann/x/1/f", "datasets/anna/x/1/f", "checks/1"])
        removals.note_runs(session, session.scalars(select(LedgerRow).where(LedgerRow.user_id == "bob")))
        others = {(row.kind, row.name) for row in session.scalars(select(Removal))}
    receipt = ann.delete("/users/ann").json()
    with warehouse.reading() as session:
        hers = {(row.kind, row.name) for row in session.scalars(select(Removal))} - others
    assert receipt["to_be_removed"] == len(hers) > 0
    assert receipt["erased"].items() >= {"datasets": 2, "models": 2, "explanations": 1, "record": 1, "keys": 1}.items()
    assert [path for path in (home / "objects").rglob("*") if path.is_file() and "ann" in path.parts] == []
    assert {one["what"].split()[0] for one in receipt["remains"]} == {
        "records",
        "entries",
        "the",
        "messages",
        "backups",
    }
    with warehouse.reading() as session:
        for kind in persons.ERASED.values():
            left = list(session.scalars(select(kind).where(kind.user_id == "ann")))
            assert all(isinstance(row, OutboxRow) and row.event_type == "dataset.deleted" for row in left), kind
        rows = list(session.scalars(select(LedgerRow).where(LedgerRow.user_id == "ann")))
        assert {row.state for row in rows} <= {"cancelled", "done", "answered"}
        assert [row.payload for row in rows] == [{}] * len(rows) != []
        assert {row.name for row in removals.runs_left(session)} >= {"run-at-work"}
        assert session.scalars(select(AuditRow).where(AuditRow.what == "user.erased")).one().actor == "ann"
    again = zipfile.ZipFile(io.BytesIO(ann.get("/users/ann/export").content))
    assert all(not json.loads(again.read(f"{name}.json")) for name in persons.ERASED if name != "events")
    assert [one.filename for one in zipfile.ZipFile(io.BytesIO(ann.get("/users/bob/export").content)).infolist()] == [
        one.filename for one in zipfile.ZipFile(io.BytesIO(before)).infolist()
    ]


def test_what_is_recorded_is_never_taken_for_a_leftover(ann: TestClient, warehouse: Warehouse, home: Path) -> None:
    """However old: uploads, tables, models, pages, those of the history, and plots; orphans beside them go."""
    kept = [name for place in PERSONAL for name, _ in warehouse.objects.stored(place)]
    file = home / "file"
    file.write_bytes(b"1")
    plot, orphan = plot_name("dataset", "bob", "loans-bob", "v1"), object_name("models", "bob", "m", "killed", "m.onnx")
    for name in (plot, orphan, object_name(CHECKS, "1"), plot_name("dataset", "bob", "loans-bob", "v2")):
        warehouse.objects.put(name, file)
    grow_old(home)
    assert remove_leftovers(warehouse) == 3
    assert {name for place in PERSONAL for name, _ in warehouse.objects.stored(place)} == {*kept, plot}


def test_nobody_is_said_to_be_nobody(client: TestClient) -> None:
    for answer in (client.get("/users/nobody/export"), client.delete("/users/nobody")):
        assert (answer.status_code, answer.json()["detail"]) == (404, "Nothing is kept of the user nobody.")


def test_every_table_that_names_a_user_is_thought_of() -> None:
    named = {mapper.class_ for mapper in Row.registry.mappers if "user_id" in inspect(mapper.class_).columns}
    assert named == set({**persons.ERASED, **persons.EMPTIED, **persons.KEPT}.values())
