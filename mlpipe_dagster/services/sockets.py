"""Where processes of one user meet on this machine: a folder of Unix sockets that nobody else may enter.

A socket is its home's own. A TCP port is not: gRPC lets two servers listen on one, and each gets half of the calls.
It stays light: the warm process reads this before it imports anything.
"""

import hashlib
import os
import tempfile
from pathlib import Path

from mlpipe_dagster.errors import UserError


def socket_folder() -> Path:
    """The folder; short, because a socket's path may have 108 bytes.

    Raises
    ------
    UserError
        It belongs to somebody else, or others may enter it.
    """
    folder = Path(tempfile.gettempdir()) / f"mlpipe-warm-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    state = folder.lstat()
    if state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise UserError(f"{folder} is not this user's alone; remove it")
    return folder


def short_key(of: object) -> str:
    """Twelve characters that stand for a long name."""
    return hashlib.sha256(str(of).encode()).hexdigest()[:12]
