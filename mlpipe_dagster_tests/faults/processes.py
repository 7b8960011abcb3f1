"""The platform's processes as the system shows them (/proc): who they are, and which are left. Linux only.

A process belongs to a platform when its environment carries that platform's MLPIPE_HOME. Nothing is signalled here.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

PROC = Path("/proc")
ZOMBIE = "Z"


class Kind(StrEnum):
    """What a process is, as the report names it."""

    UP = "mlpipe up"
    DAEMON = "daemon"
    CODE_SERVER = "code server"
    WEBSERVER = "webserver"
    API = "API"
    BROKER = "broker"
    ZYGOTE = "zygote"
    WORKER = "run worker"
    OTHER = "other"


COMMANDS = {
    "mlpipe_dagster.cli up": Kind.UP,
    "dagster._daemon": Kind.DAEMON,
    "dagster api grpc": Kind.CODE_SERVER,
    "dagster_webserver": Kind.WEBSERVER,
    "mlpipe_dagster.api.app": Kind.API,
    "bin/tansu broker": Kind.BROKER,
    "warm_runs.zygote": Kind.ZYGOTE,
    "multiprocessing.spawn": Kind.WORKER,  # a run that was started cold, by the code server
}
"""A part of the command line, and what runs under it."""


@dataclass(frozen=True)
class Identity:
    """A process for as long as it lives: a pid is used again, with another start time (clock ticks since boot)."""

    pid: int
    started: int


@dataclass(frozen=True)
class Seen:
    """A process at one moment."""

    identity: Identity
    parent: int
    state: str
    kind: Kind
    command: str


Entry = tuple[Identity, int, str]
"""Who, the parent's pid, the state."""


@dataclass
class Census:
    """Looks at the processes of one platform; remembers everyone it ever saw."""

    home: Path
    known: dict[Identity, tuple[Kind, str]] = field(default_factory=dict)
    _strangers: set[Identity] = field(default_factory=set)

    def look(self) -> list[Seen]:
        """Everyone who is there now, the dead that nobody has fetched (zombies) included."""
        every = {identity.pid: (identity, parent, state) for identity, parent, state in _everyone()}
        for identity, parent, state in every.values():
            if identity in self.known and not self._is_another_program(identity):
                continue
            if identity in self.known or self._is_ours(identity):
                self.known[identity] = self._kind(identity, every.get(parent))
            elif state == ZOMBIE and self._knows(every.get(parent)):  # it shows no environment any more
                self.known[identity] = (Kind.OTHER, "a child that nobody has fetched")
        return [
            Seen(identity, parent, state, *self.known[identity])
            for identity, parent, state in every.values()
            if identity in self.known
        ]

    def _is_another_program(self, identity: Identity) -> bool:
        """Between fork and exec a process looks like its parent."""
        command = _command(identity.pid)
        return command not in ("", self.known[identity][1])

    def _knows(self, entry: Entry | None) -> bool:
        return entry is not None and entry[0] in self.known

    def _is_ours(self, identity: Identity) -> bool:
        if identity in self._strangers:
            return False
        variable = f"MLPIPE_HOME={self.home}".encode()
        environment = _read(identity.pid, "environ")
        if variable in environment.split(b"\0"):
            return True
        if environment:  # one that is just being made has none yet
            self._strangers.add(identity)
        return False

    def _kind(self, identity: Identity, parent: Entry | None) -> tuple[Kind, str]:
        command = _command(identity.pid)
        kind = next((kind for part, kind in COMMANDS.items() if part in command), Kind.OTHER)
        child_of_zygote = parent is not None and self.known.get(parent[0], (None,))[0] in (Kind.ZYGOTE, Kind.WORKER)
        return (Kind.WORKER if kind is Kind.ZYGOTE and child_of_zygote else kind), command


def _everyone() -> list[Entry]:
    """Every process with its parent and state, the older first: parents before children though pids begin anew."""
    statuses = {int(entry.name): _read(int(entry.name), "stat") for entry in PROC.iterdir() if entry.name.isdigit()}
    found = []
    for pid, status in statuses.items():
        if status:
            fields = status.decode(errors="replace").rpartition(")")[2].split()  # a name may hold blanks and brackets
            found.append((Identity(pid, int(fields[19])), int(fields[1]), fields[0]))
    return sorted(found, key=lambda entry: (entry[0].started, entry[0].pid))


def _command(pid: int) -> str:
    """The command line; empty for a zombie."""
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def _read(pid: int, name: str) -> bytes:
    try:
        return (PROC / str(pid) / name).read_bytes()
    except OSError:  # it has just ended, or is somebody else's
        return b""


def identity_of(pid: int) -> Identity | None:
    """Who has this pid now; None where nobody has."""
    status = _read(pid, "stat").decode(errors="replace")
    return Identity(pid, int(status.rpartition(")")[2].split()[19])) if status else None


def is_there(identity: Identity) -> bool:
    """Whether this very process still is."""
    return identity_of(identity.pid) == identity
