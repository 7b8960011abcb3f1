"""`/asyncapi.json` answers with the names that are set where the API runs."""

import pytest
from fastapi.testclient import TestClient

from mlpipe_dagster.asyncapi import document
from mlpipe_dagster.settings import Settings, settings


def test_the_document(lonely_client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = lonely_client.get("/asyncapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == document(Settings())
    monkeypatch.setenv("KAFKA_XAI_TOPIC", "explained")
    settings.cache_clear()
    assert lonely_client.get("/asyncapi.json").json()["channels"]["xai-events"]["address"] == "explained"
