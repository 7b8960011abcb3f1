"""What the API gives out of a model, its files and the table it was trained from, for commands that work with both."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.errors import UserError


@dataclass(frozen=True)
class Upload:
    """The file of a table as it was uploaded."""

    file: Path
    md5: str


def fetch_model(client: ApiClient, user_id: str, model_id: str, version: str | None, folder: Path) -> dict[str, Any]:
    """All files of a model into `folder`; what the API says about it."""
    about = dict(client.get("ai-models", user_id, model_id, version=version))
    folder.mkdir(exist_ok=True)
    for file in about["files"]:
        place = folder / Path(file["filename"]).name
        client.download(
            "ai-models", user_id, model_id, "download", target=place, version=version, filename=file["filename"]
        )
    return about


def fetch_table(client: ApiClient, user_id: str, dataset_id: str | None, folder: Path, version: str = "") -> Upload:
    """The file that was uploaded, of that version or the latest; raises UserError where it is not known which."""
    if not dataset_id:
        raise UserError("It is not known which table the model was trained from.")
    path = ("datasets", user_id, dataset_id, *(("version", version) if version else ()))
    upload = folder / Path(client.get(*path)["original_filename"]).name
    client.download(*path, "download", target=upload)
    with upload.open("rb") as content:
        return Upload(upload, hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest())
