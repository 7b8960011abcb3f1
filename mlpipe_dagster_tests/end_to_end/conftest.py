"""One platform for all end-to-end tests, and a client that knows only HTTP and Kafka."""

from collections.abc import Iterator

import pytest

from mlpipe_dagster_tests.brokers import real_kafka
from mlpipe_dagster_tests.end_to_end.outside import Outside
from mlpipe_dagster_tests.end_to_end.platforms import running_platform


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """The running services, as somebody outside sees them."""
    with running_platform(tmp_path_factory.mktemp("platform"), real_kafka(), MLPIPE_UNKNOWN_GRACE="5") as running:
        yield running.outside
