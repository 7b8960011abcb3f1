"""Schemathesis tries every call of the OpenAPI with what fits it and what does not; all of its checks hold.

Bounded: a few examples for each call, always the same ones.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as bounds
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import positive_data_acceptance

from mlpipe_dagster.api import live
from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.messaging.embedded import EmbeddedBroker
from mlpipe_dagster.settings import settings

EXAMPLES = 2
CONTENT_DECIDES = {
    "POST /bias-reports/": "a report may hold any JSON but NUL and lone surrogates, which databases cannot store",
    "POST /transformation-reports/": "likewise",
    "PUT /datasets/{user_id}/{dataset_id}": "likewise, in custom_metadata",
    "PUT /ai-models/{user_id}/{model_id}": "likewise; and one field at least must be known and not null",
    "POST /questions/{question_id}/answer": "the question says which answers there are",
    "PUT /users/{user_id}/channels": "a URL has to be one that Apprise knows",
    "PUT /users/{user_id}/policy": "the same choices as with an upload",
    "POST /pipelines/{dataset_id}/again": "the same choices as with an upload",
    "POST /datasets/upload": "choices such as a time budget are words that OpenAPI does not spell out",
    "POST /datasets/upload/{user_id}": "likewise",
    "POST /ai-models/upload/single/{user_id}": "null is a number's equal in the description, and has no form in a form",
    "POST /ai-models/{user_id}/{model_id}/predict": "the rows have to be a table",
    "POST /ai-models/upload/folder/{user_id}": "the file must be a zip",
    "POST /xai-reports/upload/{user_id}": "the name of the file must end with .html",
}
"""Calls that may refuse what fits their description, with 400 or 422, and why; of all others that is a fault."""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory, broker: EmbeddedBroker) -> Iterator[Any]:
    """The schema of an application that is open, with nothing in it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLPIPE_HOME", str(tmp_path_factory.mktemp("openapi") / "home"))
        patch.setenv("KAFKA_BOOTSTRAP_SERVERS", broker.address)
        patch.setattr(live, "POLLS", 1)
        patch.setattr(live, "POLL_SECONDS", 0.0)
        settings.cache_clear()
        yield schemathesis.openapi.from_asgi("/openapi.json", create_app())
        shutdown_lifespans()
    settings.cache_clear()


def test_every_call_keeps_to_its_description(described: Any) -> None:
    faults: list[str] = []
    for found in described.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:
            try:
                _try(operation, mode)
            except (Exception, BaseExceptionGroup) as error:  # every fault of every call is told, not the first alone
                faults.append(f"{operation.label} ({mode.value}): {error}")
    assert not faults, "\n\n".join(faults)


def _try(operation: Any, mode: GenerationMode) -> None:
    @bounds(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def one(case: schemathesis.Case) -> None:
        case.call_and_validate(excluded_checks=excused)

    excused = [positive_data_acceptance] if operation.label in CONTENT_DECIDES else []
    with suppress(Unsatisfiable):  # nothing about the call can be wrong: it takes nothing
        one()
