"""Requests that many API tests make, and the hostile values that many of them send."""

from typing import Any

from fastapi.testclient import TestClient
from httpx import Response

CSV = b"income,sex,paid\n10,f,yes\n20,m,no\n"
CSV_MD5 = "3a0137def190bef6a9902a922e0549be"
HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
SCRIPT = "<script>alert(1)</script>"

BAD_IDS = ("../x", "..", "a/b", "-a", ".a", "a b", "a\nb", "a\n", "é", "a%", "<a>", "a" * 256, "a;b", "a~b")


def upload(
    client: TestClient,
    dataset_id: str = "loans",
    user_id: str = "ann",
    content: bytes = CSV,
    filename: str = "loans.csv",
    **fields: Any,
) -> Response:
    """Upload a file the way curl -F does."""
    data = {"user_id": user_id, "dataset_id": dataset_id, "name": "Loans"} | fields
    return client.post("/datasets/upload", files={"file": (filename, content)}, data=data)


def post_model(client: TestClient, model_id: str = "m", content: bytes = b"model", **fields: Any) -> Response:
    """Upload a model as a foreign AutoML worker does."""
    data = {"model_id": model_id, "name": "M", "framework": "sklearn", "model_type": "classification"} | fields
    return client.post("/ai-models/upload/single/ann", files={"file": ("model.pkl", content)}, data=data)


def post_page(
    client: TestClient, content: bytes = b"<p>why</p>", filename: str = "why.html", **fields: Any
) -> Response:
    """Upload an explanation as a foreign XAI worker does."""
    data = {"dataset_id": "loans", "model_id": "m", "report_type": "model_explanation", "level": "beginner"} | fields
    return client.post("/xai-reports/upload/ann", files={"file": (filename, content, "text/html")}, data=data)
