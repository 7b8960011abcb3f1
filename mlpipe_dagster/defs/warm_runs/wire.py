"""What the launcher and the zygote say to each other: where the socket is, one JSON line each way, which code it is.

It stays light: the zygote reads this before it imports anything.
"""

import hashlib
import importlib.util
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlpipe_dagster.errors import UserError
from mlpipe_dagster.services.sockets import short_key, socket_folder

PACKAGE = Path(__file__).resolve().parents[2]
ANSWER_SECONDS = 20.0
Message = dict[str, Any]


class ZygoteUnreachable(OSError):  # noqa: N818 - as in errors.py
    """No zygote listens there, or it does not answer."""


def code_fingerprint(module: str) -> str:
    """Changes with every edit of mlpipe or of the module's package: a zygote of another must not run new runs."""
    digest = hashlib.sha256()
    for path in sorted({*PACKAGE.rglob("*.py"), *_files_of(module)}):
        state = path.stat()
        digest.update(f"{path}\0{state.st_mtime_ns}\0{state.st_size}\n".encode())
    return digest.hexdigest()[:12]


def _files_of(module: str) -> Iterator[Path]:
    """The files of a module's package; its own alone where it belongs to none."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError as error:
        raise ZygoteUnreachable(f"the module {module} cannot be found: {error}") from error
    if found is None or not found.origin:
        raise ZygoteUnreachable(f"the module {module} cannot be found")
    path = Path(found.origin)
    yield from path.parent.glob("*.py") if "." in module else [path]


def socket_path(instance_root: str, module: str, fingerprint: str) -> Path:
    """Where the zygote of this Dagster instance, this module and this state of the code listens."""
    return _folder() / f"{short_key(Path(instance_root).absolute())}-{short_key(module)}-{fingerprint}.sock"


def all_sockets(instance_root: str, module: str | None = None) -> Iterator[Path]:
    """The sockets of this instance's zygotes, of whatever code; or those of one module, in whatever state."""
    of_module = short_key(module) if module else "*"
    yield from sorted(_folder().glob(f"{short_key(Path(instance_root).absolute())}-{of_module}-*.sock"))


def _folder() -> Path:
    try:
        return socket_folder()
    except UserError as error:
        raise ZygoteUnreachable(str(error)) from error


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
