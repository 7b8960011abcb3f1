"""A Postgres of the tests' own on loopback, where its programs are installed; what is tested on it, others know."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from mlpipe_dagster.messaging.embedded import free_port

WHY_NOT = "Postgres and psycopg2 are not installed (apt-get install postgresql; pip install psycopg2-binary)"


def programs() -> Path | None:
    """Folder of Postgres's programs; the newest of several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def running_postgres() -> Iterator[str]:
    """Its URL without a database name."""
    folder = programs()
    assert folder is not None
    data = Path(tempfile.mkdtemp(prefix="mlpipe-postgres-"))
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(data, "postgres", "postgres")
    port = free_port(0)
    options = f"-h 127.0.0.1 -p {port} -k {data} -c fsync=off"
    _as_postgres(folder / "initdb", "-D", data, "-U", "mlpipe", "-A", "trust", "-E", "UTF8", "--no-sync")
    try:
        _as_postgres(folder / "pg_ctl", "-D", data, "-l", data / "log", "-w", "-o", options, "start")
        with socket.create_connection(("127.0.0.1", port)):
            pass
        yield f"postgresql+psycopg2://mlpipe@127.0.0.1:{port}"
    finally:
        _as_postgres(folder / "pg_ctl", "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(data, ignore_errors=True)


def new_database(server: str) -> str:
    """URL of a fresh database."""
    from sqlalchemy import create_engine

    name = f"test_{uuid4().hex[:12]}"
    engine = create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return f"{server}/{name}"


def _as_postgres(*command: object) -> None:
    words = [str(word) for word in command]
    if os.geteuid() == 0:
        words = ["runuser", "-u", "postgres", "--", *words]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, cwd="/tmp")
