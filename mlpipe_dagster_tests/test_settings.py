"""Settings come from their own variables only, and have defaults for one machine."""

from pathlib import Path

import pytest

from mlpipe_dagster.settings import Settings


def test_the_home_folder_of_the_user_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLPIPE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("THREADS", "64")
    assert (Settings().home, Settings().threads) == (Path(".mlpipe"), 2)


def test_every_setting_has_a_variable_of_its_own() -> None:
    names = [field.alias for field in Settings.model_fields.values()]
    assert len(set(names)) == len(names)
    assert all(name and name.startswith(("MLPIPE_", "KAFKA_", "API_BASE")) for name in names)


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLPIPE_S3_SECRET_KEY", "very-secret")
    assert "very-secret" not in repr(Settings())
