"""Fixtures that every test may use: where the real tables are, and settings that live in a temporary folder."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlpipe_dagster.settings import settings

logging.getLogger("kafka").setLevel(logging.CRITICAL)  # brokers are stopped on purpose here
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file stays together; all files that use the running platform share one process, and so one platform."""
    on_the_platform = {item.path for item in items if "platform" in getattr(item, "fixturenames", ())}
    for item in items:
        group = "platform" if item.path in on_the_platform else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real tables; skips where a checkout stands alone."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"the real tables are not beside this checkout ({SHARED_DATA})")
    return SHARED_DATA


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh MLPIPE_HOME, so that no test sees another's catalogue."""
    monkeypatch.setenv("MLPIPE_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    yield tmp_path / "home"
    settings.cache_clear()
