"""Which engines there are, what each needs, and whether it is installed here. No heavy import.

How an engine searches is in the module of its name; how one is installed is in `install.py`.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, get_args

from mlpipe_dagster.errors import BudgetError, EngineError
from mlpipe_dagster.settings import settings

AUTO = "auto"
PORTFOLIO = "portfolio"
DETERMINISTIC = "deterministic"
MOST_TRIALS = 10_000
SMALLEST_BUDGET = 2.0
"""Seconds of a whole step below which nothing is trained."""
ShortBudget = Literal["refuse", "raise"]
SHORT_BUDGET: tuple[ShortBudget, ...] = get_args(ShortBudget)
"""What becomes of a time budget below an engine's least: it is refused, or raised to that."""


@dataclass(frozen=True)
class KnownEngine:
    """An engine by the name that people choose it by."""

    name: str
    title: str
    smallest_budget: float = SMALLEST_BUDGET
    """Seconds of a whole step."""
    packages: tuple[str, ...] = ()
    """What has to be importable: here, or in its own interpreter."""
    extra: str = ""
    """The requirements that bring the packages."""
    interpreter: str = ""
    """The setting that names its own interpreter, where it has one."""
    trials: int | None = None
    """How many candidates it tries, where it counts them in place of seconds."""

    @property
    def word(self) -> str:
        """What it is chosen by, a number of trials of its own included."""
        return self.name if self == KNOWN[self.name] else f"{self.name}:{self.trials}"

    @property
    def folds(self) -> int | None:
        """Folds its candidates are validated on, None for as many as the data allow. What validates by itself is held
        against the baselines on one hold-out, which it never sees."""
        return None if self.name in (PORTFOLIO, DETERMINISTIC) else 1

    @property
    def weighs_rows(self) -> bool:
        """Whether rows can count more or less in its fits: where they are made by the harness."""
        return not self.interpreter

    def is_installed(self) -> bool:
        """Whether it can be used on this machine."""
        if self.interpreter:
            return interpreter_of(self).is_file()
        return all(importlib.util.find_spec(package) is not None for package in self.packages)

    @property
    def installing(self) -> str:
        """The command that brings it."""
        return f"mlpipe engines install {self.name}" if self.interpreter else f"pip install {self.extra}"


KNOWN = {
    engine.name: engine
    for engine in (
        KnownEngine(PORTFOLIO, "portfolio"),
        KnownEngine(DETERMINISTIC, "deterministic portfolio", trials=20),
        KnownEngine(
            "flaml",
            "FLAML",
            smallest_budget=5.0,
            packages=("flaml", "xgboost", "lightgbm"),
            extra='"flaml==2.7.0" "xgboost-cpu==3.2.0"',
        ),
        KnownEngine("autosklearn", "auto-sklearn", smallest_budget=30.0, interpreter="autosklearn_python"),
        KnownEngine(
            "autogluon",
            "AutoGluon",
            smallest_budget=20.0,
            packages=("autogluon.tabular",),
            interpreter="autogluon_python",
        ),
    )
}
CHOICES = (AUTO, *KNOWN)


class Searching(Protocol):
    """A module of this package: what an engine does."""

    search: Callable[..., str]
    """`search(search, reserve)`: add candidates while time is left beyond `reserve(best)` seconds; why it ended."""


def parse_engine(word: str) -> str:
    """The word as it is kept, in small letters; `deterministic` may name its trials, as in `deterministic:40`.

    Raises
    ------
    EngineError
        No engine is called that.
    """
    name, colon, trials = word.strip().lower().partition(":")
    if name not in CHOICES:
        raise EngineError(f"There is no engine “{word[:40]}”. Use one of: {', '.join(CHOICES)}.")
    if not colon:
        return name
    if name != DETERMINISTIC or not trials.isdecimal() or not 1 <= int(trials) <= MOST_TRIALS:
        raise EngineError(
            f"The engine “{word[:40]}” is not understood. {DETERMINISTIC} alone takes a number of trials, from 1 to "
            f"{MOST_TRIALS:,}: {DETERMINISTIC}:40."
        )
    return f"{name}:{int(trials)}"


def known_engine(word: str) -> KnownEngine:
    """The engine that a word stands for; `auto` is the portfolio. Raises EngineError as `parse_engine`."""
    name, _, trials = parse_engine(word).partition(":")
    known = KNOWN[PORTFOLIO if name == AUTO else name]
    return replace(known, trials=int(trials)) if trials else known


def enough_seconds(engine: KnownEngine, seconds: float, short: ShortBudget) -> float:
    """The budget, raised to the engine's least where that is allowed.

    Raises
    ------
    BudgetError
        It is less than the engine needs, and is not to be raised.
    """
    if seconds >= engine.smallest_budget:
        return seconds
    if short == "raise":
        return engine.smallest_budget
    raise BudgetError(
        f"The engine {engine.name} needs a time budget of at least {engine.smallest_budget:g} seconds, not "
        f"{seconds:g}. Allow more time, choose the engine {PORTFOLIO}, or let short budgets be raised "
        "(short_budget=raise)."
    )


def require_installed(engine: KnownEngine) -> None:
    """Raises EngineError, which says how to install it, where the engine cannot be used here."""
    if not engine.is_installed():
        raise EngineError(
            f"The engine {engine.name} is not installed on this machine. Install it with "
            f"`{engine.installing}`, or choose the engine {PORTFOLIO}."
        )


def usable_engine(word: str) -> str:
    """The word as it is kept. Raises EngineError as `parse_engine`, and where the engine cannot be used here."""
    kept = parse_engine(word)
    require_installed(known_engine(kept))
    return kept


def interpreter_of(engine: KnownEngine) -> Path:
    """The Python that an engine runs in: as the setting says, else where `mlpipe engines install` puts it."""
    said = str(getattr(settings(), engine.interpreter))
    return Path(said) if said else home_of(engine) / "bin" / "python"


def home_of(engine: KnownEngine) -> Path:
    """The folder that `mlpipe engines install` puts an engine into."""
    return settings().home.absolute() / "engines" / engine.name
