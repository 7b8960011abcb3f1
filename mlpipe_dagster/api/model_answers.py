"""The model and file objects that the API answers; routes are in models.py."""

from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from mlpipe_dagster import clock
from mlpipe_dagster.warehouse import models
from mlpipe_dagster.warehouse.schema import ModelRow


class ModelFile(BaseModel):
    """One file of a model version; `file_hash` is SHA-256."""

    model_config = ConfigDict(from_attributes=True)
    filename: str
    file_path: str
    file_size: int
    file_type: str
    file_hash: str
    content_type: str
    is_primary: bool
    description: str | None


class Model(BaseModel):
    """A model version."""

    model_config = ConfigDict(from_attributes=True, protected_namespaces=())
    model_id: str
    user_id: str
    name: str
    description: str | None
    version: str
    framework: str
    model_type: str
    algorithm: str | None
    files: list[ModelFile]
    primary_file_path: str | None
    model_size_mb: float | None
    training_dataset: str | None
    training_accuracy: float | None
    validation_accuracy: float | None
    test_accuracy: float | None
    training_loss: float | None
    python_version: str | None
    dependencies: list[str]
    hardware_requirements: str | None
    tags: list[Any]
    custom_metadata: dict[str, Any]
    input_shape: Any = None
    output_shape: Any = None
    num_parameters: int | None = None
    created_at: str
    updated_at: str
    is_active: bool
    is_production_ready: bool


def model_answer(session: Session, row: ModelRow) -> Model:
    """The model version as it is answered, with its files."""
    columns = {column.key: getattr(row, column.key) for column in ModelRow.__table__.columns}
    return Model.model_validate(
        {
            **columns,
            "version": row.version,
            "training_dataset": row.dataset_id,
            "files": models.model_files(session, row),
            "created_at": clock.iso(row.created_at),
            "updated_at": clock.iso(row.updated_at),
        }
    )
