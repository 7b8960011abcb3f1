"""The warehouse with its objects on a real S3 server: an upload is stored, read and deleted there."""

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import select

from mlpipe_dagster.defs.resources import WarehouseResource
from mlpipe_dagster.errors import UnknownThing
from mlpipe_dagster.settings import settings
from mlpipe_dagster.warehouse.datasets import Upload, delete_dataset, get_version, store_upload
from mlpipe_dagster.warehouse.objects import ObjectsUnavailable, S3Objects
from mlpipe_dagster.warehouse.schema import DatasetVersion, OutboxRow
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster_tests.warehouse.s3_server import BUCKET, S3Server

pytestmark = pytest.mark.s3

CONTENT = b"age,income\n31,low\n45,high\n"


def use_s3(monkeypatch: pytest.MonkeyPatch, server: S3Server, prefix: str, secret_key: str) -> Warehouse:
    """The warehouse as Dagster's resource opens it from the environment."""
    for name, value in {
        "MLPIPE_OBJECTS": f"s3://{BUCKET}/{prefix}",
        "MLPIPE_S3_ENDPOINT_URL": server.endpoint_url,
        "MLPIPE_S3_ACCESS_KEY": server.access_key,
        "MLPIPE_S3_SECRET_KEY": secret_key,
    }.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return WarehouseResource().open()


@pytest.fixture
def upload(tmp_path: Path) -> Upload:
    file = tmp_path / "people.csv"
    file.write_bytes(CONTENT)
    return Upload(
        user_id="ann@example.org",
        dataset_id="people",
        name="People",
        filename="people (final).csv",
        file=file,
        file_type="csv",
        file_size=len(CONTENT),
        file_hash=hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
    )


def test_an_upload_that_s3_refuses_leaves_no_record(
    home: Path, monkeypatch: pytest.MonkeyPatch, s3_server: S3Server, upload: Upload
) -> None:
    warehouse = use_s3(monkeypatch, s3_server, "refused", "wrong")
    with pytest.raises(ObjectsUnavailable, match="SignatureDoesNotMatch"):
        store_upload(warehouse, upload)
    with warehouse.reading() as session:
        assert session.scalars(select(DatasetVersion)).all() == []
        assert session.scalars(select(OutboxRow)).all() == []


def test_an_upload_is_stored_read_and_deleted_on_s3(
    home: Path, monkeypatch: pytest.MonkeyPatch, s3_server: S3Server, upload: Upload
) -> None:
    warehouse = use_s3(monkeypatch, s3_server, "whole", s3_server.secret_key)
    assert isinstance(warehouse.objects, S3Objects)
    stored = store_upload(warehouse, upload)

    on_s3 = s3_server.folder / BUCKET / "whole" / stored.file_path
    assert on_s3.read_bytes() == CONTENT
    assert stored.file_path.startswith("datasets/ann@example.org/people/")
    assert stored.file_path.endswith("/people%20%28final%29.csv")
    assert not (home / "objects").exists()

    with warehouse.reading() as session:
        version = get_version(session, "ann@example.org", "people")
    with warehouse.objects.open(version.file_path) as content:
        assert content.read() == CONTENT

    deleted = delete_dataset(warehouse, "ann@example.org", "people")
    assert (deleted.versions, deleted.files, deleted.files_failed) == (1, 1, 0)
    assert not on_s3.exists()
    with pytest.raises(UnknownThing):
        warehouse.objects.open(version.file_path)


def test_a_failed_transaction_takes_its_object_back(
    home: Path, monkeypatch: pytest.MonkeyPatch, s3_server: S3Server, upload: Upload
) -> None:
    warehouse = use_s3(monkeypatch, s3_server, "taken-back", s3_server.secret_key)
    with warehouse.catalogue.transaction() as session:
        session.connection().exec_driver_sql("DROP TABLE pipelines")
    with pytest.raises(Exception, match="no such table: pipelines"):
        store_upload(warehouse, upload)
    assert [path for path in s3_server.files() if "taken-back" in path.parts] == []
