"""Sockets are one user's, and one home's."""

import tempfile
from pathlib import Path

import pytest

from mlpipe_dagster.errors import UserError
from mlpipe_dagster.services.plan import make_plan
from mlpipe_dagster.services.sockets import socket_folder
from mlpipe_dagster.settings import Settings


@pytest.fixture
def empty_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_nobody_else_may_enter(empty_temporary_folder: Path) -> None:
    folder = socket_folder()
    assert folder.parent == empty_temporary_folder and folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(UserError, match=f"{folder} is not this user's alone; remove it"):
        socket_folder()


def test_two_homes_never_share_a_code_server(tmp_path: Path) -> None:
    sockets = {make_plan(Settings(MLPIPE_HOME=tmp_path / name), print).code_socket for name in ("a", "b" * 200)}
    assert len(sockets) == 2
    assert all(len(str(socket)) < 108 for socket in sockets)
