"""Ids and form fields made up by Hypothesis: what may be stored comes back as it was, the rest is refused."""

import string
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as bounds
from hypothesis import strategies as st

from mlpipe_dagster.api.app import create_app
from mlpipe_dagster.settings import settings
from mlpipe_dagster_tests.api.conftest import DEAD_BROKER
from mlpipe_dagster_tests.api.requests import CSV

FIRST = set(string.ascii_letters + string.digits)
LATER = FIRST | set("._@+:=-")
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
near_ids = st.text(st.sampled_from([*sorted(LATER), "/", " ", "~", "%", "é", "\n", "\0"]), min_size=1, max_size=8)
few = bounds(
    max_examples=25, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def is_id(text: str) -> bool:
    """The rule of the contract, said without a pattern."""
    return 1 <= len(text) <= 255 and text[0] in FIRST and set(text) <= LATER


@pytest.fixture(scope="module")
def one_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One application for all that is made up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLPIPE_HOME", str(tmp_path_factory.mktemp("fields") / "home"))
        patch.setenv("KAFKA_BOOTSTRAP_SERVERS", DEAD_BROKER)
        settings.cache_clear()
        with TestClient(create_app()) as client:
            yield client
    settings.cache_clear()


@few
@given(user_id=near_ids)
def test_an_id_in_the_query_keeps_its_pattern_or_is_refused(one_client: TestClient, user_id: str) -> None:
    answer = one_client.get("/pipelines", params={"user_id": user_id})
    assert answer.status_code == (200 if is_id(user_id) else 422)


@few
@given(user_id=near_ids.filter(lambda text: "/" not in text and text not in (".", "..")))
def test_an_id_in_the_path_keeps_its_pattern_or_is_refused(one_client: TestClient, user_id: str) -> None:
    answer = one_client.get(f"/datasets/{quote(user_id, safe='')}")
    assert answer.status_code == (200 if is_id(user_id) else 422)


@few
@given(user_id=near_ids, name=texts, description=texts, tags=st.lists(texts, max_size=3), filename=texts)
def test_a_form_is_stored_as_it_was_or_refused(
    one_client: TestClient, user_id: str, name: str, description: str, tags: list[str], filename: str
) -> None:
    data = {"user_id": user_id, "dataset_id": "d", "name": name, "description": description, "tags": ",".join(tags)}
    answer = one_client.post("/datasets/upload", data=data, files={"file": (filename or "a.csv", CSV)})
    storable = is_id(user_id) and name != "" and not any("\0" in text for text in (name, description, *tags))
    assert answer.status_code == (200 if storable else 422), answer.text
    if storable:
        stored = answer.json()
        assert (stored["user_id"], stored["name"], stored["description"] or "") == (user_id, name, description)
        assert stored["tags"] == [part.strip() for tag in tags for part in tag.split(",") if part.strip()]
        assert "/" not in stored["original_filename"]
        assert stored["original_filename"]
