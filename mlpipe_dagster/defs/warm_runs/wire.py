"""What the launcher and the zygote say to each other: where the socket is, one JSON line each way, which code it is.

Standard library only: the zygote reads this before it imports anything.
"""

import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[2]
ANSWER_SECONDS = 20.0
Message = dict[str, Any]


class ZygoteUnreachable(OSError):  # noqa: N818 - as in errors.py
    """No zygote listens there, or it does not answer."""


def code_fingerprint() -> str:
    """Changes with every edit of the package: a zygote of another fingerprint must not run new runs."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        state = path.stat()
        digest.update(f"{path}\0{state.st_mtime_ns}\0{state.st_size}\n".encode())
    return digest.hexdigest()[:12]


def socket_folder() -> Path:
    """A folder of this user alone; short, because a socket's path may have 108 bytes."""
    folder = Path(tempfile.gettempdir()) / f"mlpipe-warm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise ZygoteUnreachable(f"{folder} is not this user's alone; remove it")
    return folder


def socket_path(instance_root: str, fingerprint: str) -> Path:
    """Where the zygote of this Dagster instance and this code listens."""
    return socket_folder() / f"{_instance_key(instance_root)}-{fingerprint}.sock"


def all_sockets(instance_root: str) -> Iterator[Path]:
    """The sockets of this instance's zygotes, of whatever code."""
    yield from sorted(socket_folder().glob(f"{_instance_key(instance_root)}-*.sock"))


def _instance_key(instance_root: str) -> str:
    return hashlib.sha256(str(Path(instance_root).absolute()).encode()).hexdigest()[:16]


def ask(path: Path, **request: Any) -> Message:
    """Send one request and return its answer; raises ZygoteUnreachable."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = connection.makefile("rb").readline()
        decoded = json.loads(answer)
    except (OSError, ValueError) as error:
        raise ZygoteUnreachable(f"no zygote answers at {path}: {error}") from error
    if not isinstance(decoded, dict):
        raise ZygoteUnreachable(f"what listens at {path} is not a zygote")
    return decoded
