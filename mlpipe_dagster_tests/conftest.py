"""Fixtures that every test may use: where the real tables are, and settings that live in a temporary folder."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from mlpipe_dagster.settings import settings

os.environ.setdefault("MLPIPE_FIRST_MODEL_GRACE", "60")  # the machines that run tests are busy
logging.getLogger("kafka").setLevel(logging.CRITICAL)  # brokers are stopped on purpose here
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


ON_THE_PLATFORM = tuple(
    f"mlpipe_dagster_tests/end_to_end/test_{name}.py"
    for name in ("browser", "cancel", "cli", "older_warehouse", "pipeline", "up")
)
"""Files whose tests use the session's running platform: one process runs them, so that one platform is started."""


ONE_BY_ONE = ("mlpipe_dagster_tests/defs/test_stopped_at_a_line.py",)
"""Files whose tests share nothing and take long: whichever process is free runs the next one."""


class _FilesTogether(LoadFileScheduling):
    """A file's tests in one process, and those of the platform's files all in one."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.startswith(ON_THE_PLATFORM):
            return "platform"
        return nodeid if nodeid.startswith(ONE_BY_ONE) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Who runs what; `--dist loadgroup` would say it by marks, but pytest 9.2 hides from it what it adds to names."""
    return _FilesTogether(config, log)


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
