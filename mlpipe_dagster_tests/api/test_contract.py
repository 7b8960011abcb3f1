"""The API's contract, written down by hand: each call with its fields and the keys of its answer.

Held against the OpenAPI of the application; what the calls do is in the tests of each noun.
"""

from typing import Any

import pytest

from mlpipe_dagster.api.app import create_app

UPLOAD = (
    "file! dataset_id! name! description tags "
    "target_column_name task_type time_budget xai_level sensitive_features mode"
)
MODEL_UPLOAD = (
    "model_id! name! description framework! model_type! algorithm is_primary tags training_dataset training_accuracy "
    "validation_accuracy test_accuracy training_loss python_version hardware_requirements"
)
DATASET = (
    "dataset_id user_id name description version file_type file_size original_filename columns row_count data_types "
    "tags custom_metadata created_at updated_at file_hash"
)
BIAS_REPORT = "id user_id dataset_id report created_at updated_at"
TRANSFORMATION_REPORT = "user_id dataset_id version report created_at updated_at"
MODEL = (
    "model_id user_id name description version framework model_type algorithm files primary_file_path model_size_mb "
    "training_dataset training_accuracy validation_accuracy test_accuracy training_loss python_version dependencies "
    "hardware_requirements tags custom_metadata created_at updated_at is_active is_production_ready input_shape "
    "output_shape num_parameters"
)
FILE = "filename file_path file_size file_type file_hash content_type is_primary description"
XAI_REPORT = (
    "user_id dataset_id model_id report_type level file_path file_size file_hash custom_metadata created_at updated_at"
)
USER = "user_id username email full_name is_active is_admin created_at updated_at"
ONE_PAGE = "/xai-reports/{user_id}/{dataset_id}/{model_id}/{report_type}/{level}"

CALLS: dict[str, tuple[str, str, str]] = {
    # call: query, fields of the body (! where it is required), keys of the answer
    "POST /datasets/upload": ("", f"user_id! {UPLOAD}", DATASET),
    "POST /datasets/upload/{user_id}": ("", UPLOAD, DATASET),
    "GET /datasets/{user_id}": ("skip limit", "", DATASET),
    "GET /datasets/search/{user_id}": ("query tags file_type skip limit", "", DATASET),
    "GET /datasets/{user_id}/{dataset_id}": ("", "", DATASET),
    "PUT /datasets/{user_id}/{dataset_id}": ("", "name description tags custom_metadata", DATASET),
    "DELETE /datasets/{user_id}/{dataset_id}": ("", "", "message versions_deleted files_deleted files_failed"),
    "GET /datasets/{user_id}/{dataset_id}/download": ("", "", ""),
    "GET /datasets/{user_id}/{dataset_id}/versions": ("", "", DATASET),
    "GET /datasets/{user_id}/{dataset_id}/version/{version}": ("", "", DATASET),
    "DELETE /datasets/{user_id}/{dataset_id}/version/{version}": ("", "", "message"),
    "GET /datasets/{user_id}/{dataset_id}/version/{version}/download": ("", "", ""),
    "POST /bias-reports/": ("", "user_id! dataset_id! report! target_column_name task_type", BIAS_REPORT),
    "GET /bias-reports/{user_id}/{dataset_id}": ("version", "", BIAS_REPORT),
    "DELETE /bias-reports/{user_id}/{dataset_id}": ("version", "", "message"),
    "GET /bias-reports/{user_id}/{dataset_id}/view": ("level", "", ""),
    "POST /transformation-reports/": ("", "user_id! dataset_id! version! report!", TRANSFORMATION_REPORT),
    "GET /transformation-reports/{user_id}/{dataset_id}/{version}": ("", "", TRANSFORMATION_REPORT),
    "DELETE /transformation-reports/{user_id}/{dataset_id}/{version}": ("", "", "message"),
    "POST /ai-models/upload/single/{user_id}": ("", f"file! {MODEL_UPLOAD}", MODEL),
    "POST /ai-models/upload/folder/{user_id}": ("", f"zip_file! preserve_structure {MODEL_UPLOAD}", MODEL),
    "GET /ai-models/{user_id}": ("skip limit framework model_type tags", "", MODEL),
    "GET /ai-models/search/{user_id}": ("query framework model_type tags skip limit", "", MODEL),
    "GET /ai-models/{user_id}/{model_id}": ("version", "", MODEL),
    "PUT /ai-models/{user_id}/{model_id}": ("version", "name description framework model_type", MODEL),
    "DELETE /ai-models/{user_id}/{model_id}": ("version", "", "message"),
    "GET /ai-models/{user_id}/{model_id}/download": ("version filename", "", ""),
    "GET /ai-models/{user_id}/{model_id}/files": ("", "", FILE),
    "POST /xai-reports/upload/{user_id}": ("", "file! dataset_id! model_id! report_type! level!", XAI_REPORT),
    "GET /xai-reports/{user_id}/{dataset_id}/{model_id}": ("", "", XAI_REPORT),
    f"GET {ONE_PAGE}": ("", "", XAI_REPORT),
    f"DELETE {ONE_PAGE}": ("", "", "message"),
    f"GET {ONE_PAGE}/view": ("", "", ""),
    "POST /users/": ("", "user_id! username! email! full_name password!", USER),
    "GET /users/{user_id}": ("", "", USER),
    "PUT /users/{user_id}": ("", "username email full_name", USER),
    "GET /users/username/{name}": ("", "", USER),
    "GET /roles/{role}": ("", "", "by"),
    "PUT /roles/{role}": ("", "by!", "by"),
    "GET /pipelines": ("user_id status", "", ""),
    "GET /pipelines/{dataset_id}": ("", "", ""),
    "POST /pipelines/{dataset_id}/cancel": ("", "", ""),
    "POST /pipelines/{dataset_id}/retry": ("", "", ""),
    "GET /questions": ("user_id status", "", ""),
    "GET /questions/{question_id}": ("", "", ""),
    "POST /questions/{question_id}/answer": ("", "", ""),
    "GET /notifications": ("user_id", "", ""),
    "GET /events/stream": ("", "", ""),
    "GET /health": ("", "", ""),
    "GET /ready": ("", "", ""),
    "GET /metrics": ("", "", ""),
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The OpenAPI of the application; making it opens nothing."""
    return create_app().openapi()


@pytest.mark.parametrize("call", CALLS)
def test_each_call_takes_and_answers_what_was_promised(document: dict[str, Any], call: str) -> None:
    query, body, answer = CALLS[call]
    method, path = call.split(" ")
    operation = document["paths"][path][method.lower()]
    assert set(query.split()) <= _query(operation)
    fields, required = _body(document, operation)
    assert {field.rstrip("!") for field in body.split()} <= fields
    assert required == {field.rstrip("!") for field in body.split() if field.endswith("!")}
    assert set(answer.split()) <= _answer_keys(document, operation)


def _query(operation: dict[str, Any]) -> set[str]:
    return {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}


def _body(document: dict[str, Any], operation: dict[str, Any]) -> tuple[set[str], set[str]]:
    content = operation.get("requestBody", {}).get("content", {})
    schema = _resolved(document, next(iter(content.values()))["schema"]) if content else {}
    return set(schema.get("properties", {})), set(schema.get("required", []))


def _answer_keys(document: dict[str, Any], operation: dict[str, Any]) -> set[str]:
    content = operation["responses"]["200"].get("content", {})
    schema = _resolved(document, content.get("application/json", {}).get("schema", {}))
    if schema.get("type") == "array":
        schema = _resolved(document, schema["items"])
    return set(schema.get("properties", {}))


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document["components"]["schemas"][name] if name else schema
    return found


@pytest.mark.parametrize("call", ["GET /datasets/{user_id}", "GET /ai-models/{user_id}"])
def test_pages_are_of_a_hundred_and_of_a_thousand_at_most(document: dict[str, Any], call: str) -> None:
    method, path = call.split(" ")
    found = {one["name"]: one["schema"] for one in document["paths"][path][method.lower()]["parameters"]}
    assert (found["skip"]["default"], found["limit"]["default"], found["limit"]["maximum"]) == (0, 100, 1000)


@pytest.mark.parametrize("name", ["user_id", "dataset_id", "version", "model_id"])
def test_ids_keep_their_pattern_in_every_path(document: dict[str, Any], name: str) -> None:
    found = [
        (path, parameter["schema"].get("pattern"))
        for path, methods in document["paths"].items()
        for operation in methods.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "path" and parameter["name"] == name and not path.startswith("/pipelines")
    ]
    assert found
    assert {pattern for _, pattern in found} == {r"^[A-Za-z0-9][A-Za-z0-9._@+:=-]{0,254}$"}
