"""What single columns give away: proxies of sensitive columns, leaks of the target, rows that contradict each other.

Only the data, frozen and JSON-able both ways, as part of a `BiasReport`; `proxies.py` and `leakage.py` fill it.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

Strength = Literal["strong", "moderate", "weak"]
LeakKind = Literal["same", "gives away", "strong", "named after the outcome", "orders in time"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Guess(_Frozen):
    """How well the group (or class) of rows that were held out is guessed, by five-fold cross-validation.

    Intervals are 95 % and take the rule that guesses as given.
    """

    rows: int
    groups: int
    """Groups that are told apart: those with 30 rows or more in the sample."""
    accuracy: FiniteFloat
    """Share of rows guessed right."""
    low: FiniteFloat
    high: FiniteFloat
    base_rate: FiniteFloat
    """Share guessed right by always naming the largest group."""
    balanced: FiniteFloat
    """Mean over the groups of the share guessed right, by a rule that gives each group the same weight."""
    balanced_low: FiniteFloat
    balanced_high: FiniteFloat

    @property
    def chance(self) -> float:
        """What `balanced` is for a blind guess."""
        return 1 / self.groups

    @property
    def skill(self) -> float:
        """`balanced` on a scale where a blind guess is 0 and a sure one is 1; below 0 where it does worse."""
        return (self.balanced - self.chance) / (1 - self.chance)


class Proxy(_Frozen):
    """A column that tells something of the groups of a sensitive one."""

    column: str
    measure: Literal["Cramér's V", "correlation ratio"]
    association: FiniteFloat
    """From 0 (nothing) to 1 (everything)."""
    low: FiniteFloat
    high: FiniteFloat
    guess: Guess
    strength: Strength
    why: str
    """A sentence with the numbers that show it."""


class FeatureProxies(_Frozen):
    """The proxies of one sensitive column."""

    column: str
    proxies: tuple[Proxy, ...]
    """The ten strongest, strongest first."""
    others: int
    """Further columns that were looked at and tell less."""
    together: Guess | None = None
    """All columns taken together that are not sensitive themselves."""
    together_columns: int = 0
    together_strength: Strength | None = None


class Leak(_Frozen):
    """A column that could tell a model the target in a way that it will not have when it is used."""

    column: str
    kind: LeakKind
    severity: Literal["warning", "notice"]
    power: FiniteFloat
    """`Guess.skill` for classes, R² on held-out rows for numbers: 1 tells the target exactly, 0 nothing."""
    low: FiniteFloat
    high: FiniteFloat
    guess: Guess | None = None
    """None for a target that is a number."""
    why: str


class Conflicts(_Frozen):
    """Rows that are alike in every column but the target."""

    rows: int
    looked_at: int
    """Rows with a known target that were compared: of the first million rows of a larger table."""
    of: int | None = None
    """Rows of the table; None in reports that were made before it was said."""
    best: FiniteFloat
    """Share of all rows looked at that a model could get right at most."""


class Signals(_Frozen):
    """All that was seen of single columns, on a sample of the rows."""

    rows: int
    """Rows of the sample."""
    of: int
    """Rows of the table."""
    features: tuple[FeatureProxies, ...]
    leaks: tuple[Leak, ...]
    """Most serious first."""
    conflicts: Conflicts | None = None
    """None where the target is a number, or no rows are alike."""
    near_empty: tuple[str, ...] = ()
    """Columns with a value in fewer than 5 of 100 rows."""
    identifiers: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
