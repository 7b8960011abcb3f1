"""`/asyncapi.json`: what travels on the topics, for people and tools who write another worker."""

from typing import Any

from fastapi import APIRouter

from mlpipe_dagster import asyncapi
from mlpipe_dagster.settings import settings

router = APIRouter(tags=["health"])


@router.get("/asyncapi.json")
async def asyncapi_document() -> dict[str, Any]:
    """The topics, their messages and who sends and receives them, as AsyncAPI 3.0."""
    return asyncapi.document(settings())
