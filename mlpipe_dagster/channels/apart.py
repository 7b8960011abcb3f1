"""Apprise in a process of its own: one message to one URL, in bounded time, with what a user's URL may do confined.

A user's URL can name any host and any file as a parameter. Python's audit events are raised wherever a connection,
a file or a process is opened, after names are resolved and on redirects, too: there it is refused.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlpipe_dagster.channels.addresses import INSIDE, is_public, without_secrets

COMMAND = (sys.executable, "-m", __name__)
SECONDS = 45.0
LONGEST_TROUBLE = 300
CONNECTING = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
STARTING = ("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
READABLE = (
    "/etc/ssl", "/etc/pki", "/etc/mime.types", "/etc/httpd", "/etc/apache", "/etc/apache2", "/etc/localtime",
    "/usr/lib", "/usr/share", "/usr/local/lib", "/usr/local/share", "/usr/local/etc",
)  # fmt: skip
"""Certificates, types of files and time zones, where libraries look for them."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
SEVERITIES = {"info": "info", "warning": "warning", "error": "failure"}


@dataclass(frozen=True)
class Message:
    """What an outside channel is told: never rows or values of a table."""

    subject: str
    text: str
    severity: str = "info"


@dataclass(frozen=True)
class Outcome:
    """Whether it was taken; else why not, without secrets, and whether trying again may help."""

    taken: bool
    trouble: str = ""
    lasting: bool = False


def send(url: str, message: Message, confined: bool) -> Outcome:
    """Send one message; `confined`: the URL is a user's, who is not to reach into this machine or its network."""
    answer = _ask({"url": url, "message": asdict(message), "confined": confined})
    return Outcome(**answer) if isinstance(answer, dict) else Outcome(False, answer)


def unknown(urls: Sequence[str]) -> list[int]:
    """Which of the URLs, by position, Apprise can make nothing of."""
    answer = _ask({"check": list(urls)}) if urls else {"unknown": []}
    if isinstance(answer, str):
        raise RuntimeError(f"Apprise did not answer: {answer}")
    return list(answer["unknown"])


def _ask(task: dict[str, Any]) -> dict[str, Any] | str:
    """The child's answer, or in words how it broke. URLs go by its standard input: nobody sees them in a list."""
    try:
        ended = subprocess.run(
            COMMAND, input=json.dumps(task), capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {SECONDS:g} s"
    if ended.returncode != 0:
        return f"the process that sends broke (exit code {ended.returncode})"
    try:
        answer: dict[str, Any] = json.loads(ended.stdout.rpartition("\n")[2])  # a plugin may have printed before
    except ValueError:
        return "the process that sends gave no answer"
    return answer


def main() -> None:
    """Do the task on standard input, answer on standard output."""
    task = json.loads(sys.stdin.read())
    answer = _unknown(task["check"]) if "check" in task else asdict(_sent(**task))
    sys.stdout.write(f"\n{json.dumps(answer)}")


def _unknown(urls: Sequence[str]) -> dict[str, list[int]]:
    from apprise import Apprise

    logging.getLogger("apprise").addHandler(logging.NullHandler())
    _Confinement().begin()
    return {"unknown": [place for place, url in enumerate(urls) if Apprise.instantiate(url) is None]}


def _sent(url: str, message: dict[str, str], confined: bool) -> Outcome:
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, PersistentStoreMode

    said, confinement = _Said(), _Confinement()
    logger = logging.getLogger("apprise")
    logger.addHandler(said)
    logger.propagate = False
    if confined:
        confinement.begin()
    service = Apprise(asset=AppriseAsset(app_id="mlpipe", storage_mode=PersistentStoreMode.MEMORY))
    if not service.add(url):
        return Outcome(False, "Apprise can make nothing of its URL.", lasting=True)
    kind = NotifyType(SEVERITIES.get(message["severity"], "info"))
    taken = bool(
        service.notify(message["text"], title=message["subject"], notify_type=kind, body_format=NotifyFormat.TEXT)
    )
    if confinement.refused:
        return Outcome(False, confinement.refused[0], lasting=True)
    return Outcome(True) if taken else Outcome(False, without_secrets(said.last, url)[:LONGEST_TROUBLE])


class _Said(logging.Handler):
    """The last complaint."""

    last = "It was not taken, and no reason given."

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.last = record.getMessage()


class _Confinement:
    """From `begin` on this process connects to public addresses only, reads only libraries and starts nothing."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        package = Path(__file__).resolve().parents[1]
        roots = {sys.prefix, sys.base_prefix, *(path for path in sys.path if "site-packages" in path), str(package)}
        self._readable = (*(os.path.realpath(root) for root in roots), *READABLE)

    def begin(self) -> None:
        """There is no way back: audit hooks cannot be taken away."""
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in CONNECTING:
            self._check_address(arguments[1])
        elif event == "open":
            self._check_file(*arguments)
        elif event.startswith(STARTING):
            self._refuse("A channel may start no program.")

    def _check_address(self, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else None
        try:
            public = isinstance(host, str) and is_public(host)
        except ValueError:  # a name: whoever connects to one resolves it first
            public = False
        if not public:
            self._refuse(INSIDE.format(host if isinstance(host, str) else "A socket file"))

    def _check_file(self, path: object, _mode: object, flags: object) -> None:
        if not isinstance(path, str | bytes):
            return
        place, writes = os.path.realpath(os.fsdecode(path)), isinstance(flags, int) and bool(flags & WRITING)
        if place in (os.devnull, "/dev/urandom"):
            return
        inside = any(place == root or place.startswith(f"{root}{os.sep}") for root in self._readable)
        if writes or not inside:
            raise PermissionError("A channel may read no files.")

    def _refuse(self, why: str) -> None:
        self.refused.append(why)
        raise PermissionError(why)


if __name__ == "__main__":
    main()
