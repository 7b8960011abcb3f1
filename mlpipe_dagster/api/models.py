"""Routes of models: foreign AutoML workers store theirs here; anybody lists, reads and downloads.

Nothing is unpickled.
"""

import hashlib
import mimetypes
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from fastapi import APIRouter, BackgroundTasks, Depends, File, Form, HTTPException, Request, UploadFile
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, FiniteFloat

from mlpipe_dagster.api.datasets import Message
from mlpipe_dagster.api.downloads import stream_object, stream_zip
from mlpipe_dagster.api.flusher import Flusher
from mlpipe_dagster.api.model_answers import Model, ModelFile, model_answer
from mlpipe_dagster.api.model_page import model_page
from mlpipe_dagster.api.parameters import (
    JsonObject,
    Limit,
    OptionalId,
    OptionalText,
    PlainText,
    Search,
    Skip,
    Tags,
    TheExplainer,
    TheFlusher,
    TheWarehouse,
    any_case,
)
from mlpipe_dagster.api.receiving import form_route, received
from mlpipe_dagster.api.templating import prefers_html
from mlpipe_dagster.api.unpacking import opened, planned, unpacked
from mlpipe_dagster.errors import TaskError, UnknownThing
from mlpipe_dagster.events import Id
from mlpipe_dagster.vocabulary import parse_task, split_list
from mlpipe_dagster.warehouse import models, results
from mlpipe_dagster.warehouse.models import ModelFilter
from mlpipe_dagster.warehouse.objects import object_name
from mlpipe_dagster.warehouse.results import NewModel, StoredFile
from mlpipe_dagster.warehouse.warehouse import Warehouse

router = APIRouter(prefix="/ai-models", tags=["models"], route_class=form_route("sha256"))


def _plain_task(value: object) -> object:
    """`binary`, `multiclass_classification` and the like as the model types they are."""
    if not isinstance(value, str):
        return value
    try:
        task = parse_task(value)
    except TaskError:
        return value.strip().lower()
    return task.published if task else "classification"


Framework = Annotated[
    Literal["pytorch", "tensorflow", "sklearn", "onnx", "keras", "huggingface", "other"], BeforeValidator(any_case)
]
ModelType = Annotated[
    Literal[
        "classification",
        "regression",
        "clustering",
        "nlp",
        "computer_vision",
        "recommendation",
        "time_series",
        "reinforcement_learning",
        "other",
    ],
    BeforeValidator(_plain_task),
]
Figure = Annotated[FiniteFloat | None, Form()]


@dataclass(frozen=True)
class ModelFields:
    """The form fields of a model upload."""

    model_id: Annotated[Id, Form()]
    name: Annotated[PlainText, Form(min_length=1)]
    framework: Annotated[Framework, Form()]
    model_type: Annotated[ModelType, Form()]
    description: OptionalText = None
    algorithm: OptionalText = None
    is_primary: Annotated[bool, Form()] = True
    tags: OptionalText = None
    training_dataset: Annotated[Id | None, Form()] = None
    training_accuracy: Figure = None
    validation_accuracy: Figure = None
    test_accuracy: Figure = None
    training_loss: Figure = None
    python_version: OptionalText = None
    hardware_requirements: OptionalText = None

    def model(self, *files: StoredFile) -> NewModel:
        """What is recorded."""
        return NewModel(
            model_id=self.model_id,
            name=self.name,
            framework=self.framework,
            model_type=self.model_type,
            files=files,
            description=self.description,
            algorithm=self.algorithm,
            training_accuracy=self.training_accuracy,
            validation_accuracy=self.validation_accuracy,
            test_accuracy=self.test_accuracy,
            training_loss=self.training_loss,
            python_version=self.python_version,
            hardware_requirements=self.hardware_requirements,
            tags=split_list(self.tags),
        )


class ModelChanges(BaseModel):
    """What PUT may change; a field that is left out stays as it is."""

    model_config = ConfigDict(frozen=True, protected_namespaces=(), json_schema_extra={"minProperties": 1})
    name: PlainText | None = None
    description: PlainText | None = None
    framework: Framework | None = None
    model_type: ModelType | None = None
    algorithm: PlainText | None = None
    tags: list[PlainText] | None = None
    custom_metadata: JsonObject | None = None
    training_accuracy: FiniteFloat | None = None
    validation_accuracy: FiniteFloat | None = None
    test_accuracy: FiniteFloat | None = None
    training_loss: FiniteFloat | None = None
    python_version: PlainText | None = None
    hardware_requirements: PlainText | None = None
    is_active: bool | None = None
    is_production_ready: bool | None = None


@router.post("/upload/single/{user_id}")
def upload(
    user_id: Id,
    file: Annotated[UploadFile, File()],
    fields: Annotated[ModelFields, Depends()],
    warehouse: TheWarehouse,
    flusher: TheFlusher,
) -> Model:
    """Store a model that another worker trained as a new version, and announce it."""
    arrived = received(file, warehouse.settings.max_upload_bytes)
    name = object_name("models", user_id, fields.model_id, uuid.uuid4().hex, arrived.filename)
    stored = StoredFile(
        filename=arrived.filename,
        name=name,
        size=arrived.size,
        digest=arrived.digest,
        content_type=arrived.content_type,
        is_primary=fields.is_primary,
        description=None,
    )
    warehouse.objects.put(name, arrived.path, given=True)
    return _recorded(warehouse, flusher, user_id, fields, [stored])


@router.post("/upload/folder/{user_id}")
def upload_folder(
    user_id: Id,
    zip_file: Annotated[UploadFile, File()],
    fields: Annotated[ModelFields, Depends()],
    warehouse: TheWarehouse,
    flusher: TheFlusher,
    preserve_structure: Annotated[bool, Form()] = True,
) -> Model:
    """The same for a model of many files, sent as a zip; `preserve_structure` keeps its folders in the names."""
    limit = warehouse.settings.max_upload_bytes
    stored: list[StoredFile] = []
    try:
        with opened(received(zip_file, limit).path) as archive:
            plan = planned(archive, preserve_structure, limit)
            folder = object_name("models", user_id, fields.model_id, uuid.uuid4().hex)
            for number, (filename, entry) in enumerate(plan.items()):
                with unpacked(archive, entry) as path:
                    name = f"{folder}/{object_name(f'{number}-{PurePosixPath(filename).name}')}"
                    primary = fields.is_primary and len(plan) == 1
                    stored.append(_stored_file(filename, name, path, primary))
                    warehouse.objects.put(name, path)
    except BaseException:
        for file in stored:
            warehouse.objects.delete(file.name)
        raise
    return _recorded(warehouse, flusher, user_id, fields, stored)


def _stored_file(filename: str, name: str, path: Path, primary: bool) -> StoredFile:
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    kind = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    return StoredFile(filename, name, path.stat().st_size, digest, kind, is_primary=primary)


def _recorded(
    warehouse: Warehouse, flusher: Flusher, user_id: str, fields: ModelFields, stored: Sequence[StoredFile]
) -> Model:
    """Record the files that are in the objects as a model and announce it; they are removed again if that fails."""
    row = results.receive_model(warehouse, user_id, fields.training_dataset, fields.model(*stored))
    flusher.nudge()
    with warehouse.reading() as session:
        return model_answer(session, row)


@router.get("/search/{user_id}")
def search(
    user_id: Id,
    warehouse: TheWarehouse,
    query: Search = None,
    framework: PlainText | None = None,
    model_type: PlainText | None = None,
    tags: Tags = None,
    skip: Skip = 0,
    limit: Limit = 100,
) -> list[Model]:
    """A user's models by text, framework, type and tags, among latest versions."""
    wanted = ModelFilter(query, framework, model_type, split_list(tags))
    with warehouse.reading() as session:
        return [model_answer(session, row) for row in models.list_models(session, user_id, wanted, skip, limit)]


@router.get("/{user_id}")
def list_all(
    user_id: Id,
    warehouse: TheWarehouse,
    skip: Skip = 0,
    limit: Limit = 100,
    framework: PlainText | None = None,
    model_type: PlainText | None = None,
    tags: Tags = None,
) -> list[Model]:
    """A user's models in their latest versions."""
    return search(user_id, warehouse, None, framework, model_type, tags, skip, limit)


@router.get("/{user_id}/{model_id}", response_model=Model)
def read(
    request: Request,
    user_id: Id,
    model_id: Id,
    warehouse: TheWarehouse,
    explainer: TheExplainer,
    afterwards: BackgroundTasks,
    version: OptionalId = None,
) -> Model | Response:
    """A model version, the latest when none is named; as a page with its card for a browser."""
    with warehouse.reading() as session:
        found = models.model_of(session, user_id, model_id, version)
        if not prefers_html(request):
            return model_answer(session, found)
        stored = models.model_files(session, found)
    afterwards.add_task(explainer.prepare, warehouse, found)
    return model_page(warehouse, found, stored)


@router.put("/{user_id}/{model_id}")
def change(
    user_id: Id, model_id: Id, changes: ModelChanges, warehouse: TheWarehouse, version: OptionalId = None
) -> Model:
    """Change what is said about a model version."""
    given = {name: value for name, value in changes.model_dump(exclude_unset=True).items() if value is not None}
    if not given:
        raise HTTPException(400, "Nothing to change was sent.")
    row = models.update_model(warehouse, user_id, model_id, version, given)
    with warehouse.reading() as session:
        return model_answer(session, row)


@router.delete("/{user_id}/{model_id}")
def remove(user_id: Id, model_id: Id, warehouse: TheWarehouse, version: OptionalId = None) -> Message:
    """Remove a model version with its files."""
    row = models.delete_model(warehouse, user_id, model_id, version)
    return Message(message=f"The model {model_id} {row.version} of {user_id} is deleted.")


@router.get("/{user_id}/{model_id}/files")
def files(user_id: Id, model_id: Id, warehouse: TheWarehouse, version: OptionalId = None) -> list[ModelFile]:
    """The files of a model version, the primary one first."""
    with warehouse.reading() as session:
        return model_answer(session, models.model_of(session, user_id, model_id, version)).files


@router.get("/{user_id}/{model_id}/download", response_class=StreamingResponse)
def download(
    user_id: Id,
    model_id: Id,
    warehouse: TheWarehouse,
    version: OptionalId = None,
    filename: PlainText | None = None,
) -> Response:
    """One file by its name; without a name the only file, or all of them as a zip."""
    with warehouse.reading() as session:
        model = models.model_of(session, user_id, model_id, version)
        stored = models.model_files(session, model)
    chosen = [file for file in stored if filename in (None, file.filename)]
    if not chosen:
        raise UnknownThing(f"The model {model_id} {model.version} has no file {filename}.")
    if len(chosen) == 1:
        return stream_object(warehouse.objects, chosen[0].file_path, chosen[0].filename.rpartition("/")[2])
    pairs = [(file.filename, file.file_path) for file in chosen]
    return stream_zip(warehouse.objects, pairs, f"{model_id}_{model.version}.zip")
