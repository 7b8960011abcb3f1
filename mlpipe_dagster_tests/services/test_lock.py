"""One `mlpipe up` a home."""

import subprocess
import sys
from pathlib import Path

import pytest

from mlpipe_dagster.errors import Conflict
from mlpipe_dagster.services.lock import home_lock

HOLDER = """
import sys
from pathlib import Path
from mlpipe_dagster.services.lock import home_lock
with home_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_one_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Conflict, match=rf"up already on {tmp_path} \(process {holder.pid}\)"), home_lock(tmp_path):
            pass
        holder.kill()
    with home_lock(tmp_path):  # it ended with its holder, although that was killed
        assert (tmp_path / "up.lock").is_file()
