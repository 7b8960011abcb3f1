"""Routes of datasets: upload, list, search, read, change, delete, download.

Storing and announcing is the warehouse's.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, UploadFile
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict

from mlpipe_dagster.api import dagster_runs
from mlpipe_dagster.api.access import TheCaller
from mlpipe_dagster.api.downloads import stream_object
from mlpipe_dagster.api.parameters import (
    JsonObject,
    Limit,
    OptionalText,
    PlainText,
    Search,
    Skip,
    Tags,
    TheFlusher,
    TheInspector,
    TheWarehouse,
)
from mlpipe_dagster.api.pipeline_choices import ChoiceFields, check_pipeline_choices
from mlpipe_dagster.api.receiving import form_route, received
from mlpipe_dagster.events import Id
from mlpipe_dagster.tables.inspector import Inspector
from mlpipe_dagster.vocabulary import split_list
from mlpipe_dagster.warehouse import datasets
from mlpipe_dagster.warehouse.datasets import Upload, dataset_object
from mlpipe_dagster.warehouse.schema import DatasetVersion
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(prefix="/datasets", tags=["datasets"], route_class=form_route("md5"))


class Dataset(BaseModel):
    """A dataset version."""

    dataset_id: str
    user_id: str
    name: str
    description: str | None
    version: str
    file_type: str
    file_size: int
    file_path: str
    original_filename: str
    columns: list[str] | None
    row_count: int | None
    data_types: dict[str, Any] | None
    tags: list[Any]
    custom_metadata: dict[str, Any]
    created_at: str
    updated_at: str
    file_hash: str | None


class Changes(BaseModel):
    """What PUT may change; a field that is left out stays as it is."""

    model_config = ConfigDict(frozen=True)
    name: PlainText | None = None
    description: PlainText | None = None
    tags: list[PlainText] | None = None
    custom_metadata: JsonObject | None = None

    def given(self) -> dict[str, Any]:
        """The fields that were sent; null empties a description and means nothing elsewhere."""
        sent = self.model_dump(exclude_unset=True)
        return {name: value for name, value in sent.items() if value is not None or name == "description"}


class DeletedDataset(BaseModel):
    """What a deletion removed."""

    message: str
    versions_deleted: int
    files_deleted: int
    files_failed: int


class Message(BaseModel):
    """A sentence that says what was done."""

    message: str


@dataclass(frozen=True)
class DatasetFields:
    """The form fields that every upload has."""

    dataset_id: Annotated[Id, Form()]
    name: Annotated[PlainText, Form(min_length=1)]
    description: OptionalText = None
    tags: OptionalText = None


Fields = Annotated[DatasetFields, Depends()]
Choices = Annotated[ChoiceFields, Depends()]
UploadedFile = Annotated[UploadFile, File()]


@router.post("/upload", response_model=Dataset)
def upload(
    file: UploadedFile,
    user_id: Annotated[Id, Form()],
    fields: Fields,
    choices: Choices,
    warehouse: TheWarehouse,
    inspector: TheInspector,
    flusher: TheFlusher,
    caller: TheCaller,
) -> dict[str, Any]:
    """Store a file as a new version of a dataset, and start its pipeline."""
    caller.check(user_id)
    version = store(warehouse, inspector, user_id, file, fields, choices)
    flusher.nudge()
    return dataset_object(version)


@router.post("/upload/{user_id}", response_model=Dataset)
def upload_for(
    user_id: Id,
    file: UploadedFile,
    fields: Fields,
    choices: Choices,
    warehouse: TheWarehouse,
    inspector: TheInspector,
    flusher: TheFlusher,
    caller: TheCaller,
) -> dict[str, Any]:
    """The same, with the user in the path."""
    return upload(file, user_id, fields, choices, warehouse, inspector, flusher, caller)


def store(
    warehouse: Warehouse,
    inspector: Inspector,
    user_id: str,
    file: UploadFile,
    fields: DatasetFields,
    choices: ChoiceFields,
) -> DatasetVersion:
    """Receive, look into and store an upload; raises UserError for choices that are not understood, and TooLarge."""
    metadata = choices.custom_metadata(warehouse.settings.time_budget_unit)
    arrived = received(file, warehouse.settings.max_upload_bytes)
    seen = inspector.inspect(arrived.path, arrived.filename)
    arrived_upload = Upload(
        user_id=user_id,
        dataset_id=fields.dataset_id,
        name=fields.name,
        filename=arrived.filename,
        file=arrived.path,
        given=True,
        file_type=seen.file_type,
        file_size=arrived.size,
        file_hash=arrived.digest,
        description=fields.description,
        tags=split_list(fields.tags),
        custom_metadata=metadata,
        columns=seen.columns,
        row_count=seen.row_count,
        data_types=seen.data_types,
    )
    return datasets.store_upload(warehouse, arrived_upload)


@router.get("/search/{user_id}", response_model=list[Dataset])
def search(
    user_id: Id,
    warehouse: TheWarehouse,
    query: Search = None,
    tags: Tags = None,
    file_type: PlainText | None = None,
    skip: Skip = 0,
    limit: Limit = 100,
) -> list[dict[str, Any]]:
    """A user's datasets by text, tags and file type, among latest versions."""
    with warehouse.reading() as session:
        found = datasets.search_datasets(session, user_id, query, split_list(tags), file_type, skip, limit)
        return [dataset_object(version) for version in found]


@router.get("/{user_id}", response_model=list[Dataset])
def list_all(user_id: Id, warehouse: TheWarehouse, skip: Skip = 0, limit: Limit = 100) -> list[dict[str, Any]]:
    """A user's datasets in their latest versions."""
    with warehouse.reading() as session:
        return [dataset_object(version) for version in datasets.list_datasets(session, user_id, skip, limit)]


@router.get("/{user_id}/{dataset_id}", response_model=Dataset)
def read(user_id: Id, dataset_id: Id, warehouse: TheWarehouse) -> dict[str, Any]:
    """The latest version."""
    with warehouse.reading() as session:
        return dataset_object(datasets.get_version(session, user_id, dataset_id))


@router.put("/{user_id}/{dataset_id}", response_model=Dataset)
def change(
    user_id: Id, dataset_id: Id, changes: Changes, warehouse: TheWarehouse, flusher: TheFlusher
) -> dict[str, Any]:
    """Change what is said about the latest version; announced as `dataset.updated`."""
    check_pipeline_choices(changes.custom_metadata or {}, warehouse.settings.time_budget_unit)
    version = datasets.update_dataset(warehouse, user_id, dataset_id, changes.given())
    flusher.nudge()
    return dataset_object(version)


@router.delete("/{user_id}/{dataset_id}", response_model=DeletedDataset)
def remove(user_id: Id, dataset_id: Id, warehouse: TheWarehouse, flusher: TheFlusher) -> DeletedDataset:
    """Remove all versions with all that was made of them; announced as `dataset.deleted`."""
    deleted = datasets.delete_dataset(warehouse, user_id, dataset_id)
    dagster_runs.terminate(warehouse.settings.dagster_base, deleted.open_runs)
    flusher.nudge()
    return DeletedDataset(
        message=f"The dataset {dataset_id} of {user_id} is deleted.",
        versions_deleted=deleted.versions,
        files_deleted=deleted.files,
        files_failed=deleted.files_failed,
    )


@router.get("/{user_id}/{dataset_id}/versions", response_model=list[Dataset])
def versions(user_id: Id, dataset_id: Id, warehouse: TheWarehouse) -> list[dict[str, Any]]:
    """All versions, newest first."""
    with warehouse.reading() as session:
        datasets.get_version(session, user_id, dataset_id)
        return [dataset_object(version) for version in datasets.list_versions(session, user_id, dataset_id)]


@router.get("/{user_id}/{dataset_id}/download", response_class=StreamingResponse)
def download(user_id: Id, dataset_id: Id, warehouse: TheWarehouse) -> Response:
    """The latest version's file as it was uploaded."""
    return _download(warehouse, user_id, dataset_id, None)


@router.get("/{user_id}/{dataset_id}/version/{version}", response_model=Dataset)
def read_version(user_id: Id, dataset_id: Id, version: Id, warehouse: TheWarehouse) -> dict[str, Any]:
    """One version."""
    with warehouse.reading() as session:
        return dataset_object(datasets.get_version(session, user_id, dataset_id, version))


@router.delete("/{user_id}/{dataset_id}/version/{version}", response_model=Message)
def remove_version(
    user_id: Id, dataset_id: Id, version: Id, warehouse: TheWarehouse, flusher: TheFlusher
) -> dict[str, str]:
    """Remove one version with all that was made of it."""
    deleted = datasets.delete_dataset(warehouse, user_id, dataset_id, version)
    dagster_runs.terminate(warehouse.settings.dagster_base, deleted.open_runs)
    flusher.nudge()
    return {"message": f"Version {version} of the dataset {dataset_id} of {user_id} is deleted."}


@router.get("/{user_id}/{dataset_id}/version/{version}/download", response_class=StreamingResponse)
def download_version(user_id: Id, dataset_id: Id, version: Id, warehouse: TheWarehouse) -> Response:
    """One version's file as it was uploaded."""
    return _download(warehouse, user_id, dataset_id, version)


def _download(warehouse: Warehouse, user_id: str, dataset_id: str, version: str | None) -> Response:
    with warehouse.reading() as session:
        found = datasets.get_version(session, user_id, dataset_id, version)
    return stream_object(warehouse.objects, found.file_path, found.original_filename)
