"""The monkey: kills and freezes the platform's processes at random moments, by a seed. Judges nothing."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from mlpipe_dagster_tests.faults.processes import ZOMBIE, Census, Identity, Kind, is_there

SHARES = {
    Kind.WORKER: 34,
    Kind.DAEMON: 14,
    Kind.CODE_SERVER: 12,
    Kind.ZYGOTE: 12,
    Kind.API: 10,
    Kind.BROKER: 10,
    Kind.WEBSERVER: 8,
}
"""How often, in a hundred, each kind is chosen."""
FREEZES = 0.25
"""Share of victims that are frozen and thawed instead of killed."""
FREEZE_SECONDS = (1.0, 8.0)
PAUSE_SECONDS = (0.5, 6.0)
PATIENCE_SECONDS = 2.0
"""How long it waits for a process of the chosen kind to be there; a run worker lives for a second or two."""
LIFE_SECONDS = 0.8
"""A worker is hit within this time of being found, so that every moment of its life has its turn."""
LOOK_SECONDS = 0.03


@dataclass(frozen=True)
class Act:
    """What was done, and when (seconds since the monkey began)."""

    at: float
    kind: Kind
    what: str
    pid: int

    @property
    def killed(self) -> bool:
        """Killed, not frozen."""
        return self.what == "killed"


@dataclass
class Monkey:
    """Works in a thread of its own for as long as the context lasts; then everything it froze is thawed.

    Leaving the context raises what went wrong in the thread. `broker`: a broker outside the platform; `raise_broker`
    starts it again after it was killed.
    """

    census: Census
    seed: int
    broker: Callable[[], Identity | None] | None = None
    raise_broker: Callable[[], None] | None = None
    acts: list[Act] = field(default_factory=list)
    trouble: BaseException | None = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _due: list[tuple[float, Callable[[], object]]] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._random = random.Random(self.seed)
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="monkey")
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self.trouble:
            raise self.trouble

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._pause(self._random.uniform(*PAUSE_SECONDS))
                self._act()
        except BaseException as error:  # the end of the thread: `__exit__` raises it again
            self.trouble = error
        finally:
            for _, work in self._due:
                work()

    def _pause(self, seconds: float) -> None:
        """Wait, and do meanwhile what falls due."""
        end = time.monotonic() + seconds
        while not self._stopping.is_set() and time.monotonic() < end:
            ripe = [entry for entry in self._due if entry[0] <= time.monotonic()]
            for entry in ripe:
                self._due.remove(entry)
                entry[1]()
            self._stopping.wait(LOOK_SECONDS)

    def _act(self) -> None:
        """Choose everything by the seed first, so that the choices do not hang on who happens to be there."""
        kind = self._random.choices(list(SHARES), list(SHARES.values()))[0]
        freeze = self._random.random() < FREEZES
        frozen_for, later, down_for = (
            self._random.uniform(*FREEZE_SECONDS),
            self._random.uniform(0, LIFE_SECONDS),
            self._random.uniform(0.2, 4.0),
        )
        victim = self._find(kind)
        if victim is None:
            return
        if kind is Kind.WORKER:
            self._pause(later)
        if self._stopping.is_set() or not is_there(victim):
            return
        if freeze:
            self._signal(victim, kind, signal.SIGSTOP, f"frozen for {frozen_for:.1f} s")
            self._due.append((time.monotonic() + frozen_for, lambda: _send(victim, signal.SIGCONT)))
        else:
            self._signal(victim, kind, signal.SIGKILL, "killed")
            if kind is Kind.BROKER and self.raise_broker:
                self._due.append((time.monotonic() + down_for, self.raise_broker))

    def _find(self, kind: Kind) -> Identity | None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not self._stopping.is_set() and time.monotonic() < end:
            found = self._alive(kind)
            if found:
                return self._random.choice(found)
            self._pause(LOOK_SECONDS)
        return None

    def _alive(self, kind: Kind) -> list[Identity]:
        if kind is Kind.BROKER and self.broker:
            outside = self.broker()
            return [outside] if outside else []
        return [it.identity for it in self.census.look() if it.kind is kind and it.state != ZOMBIE]

    def _signal(self, victim: Identity, kind: Kind, number: signal.Signals, what: str) -> None:
        if _send(victim, number):
            self.acts.append(Act(time.monotonic() - self._begun, kind, what, victim.pid))


def _send(victim: Identity, number: signal.Signals) -> bool:
    if not is_there(victim):
        return False
    try:
        os.kill(victim.pid, number)
    except ProcessLookupError:
        return False
    return True
