"""The fairness constraint that a training can be held to: its kinds, how it is written, and when it fits.

Words and rules; no heavy import. How it is held is in `prices.py` and `automl/constrained.py`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, get_args

from pydantic import BaseModel, ConfigDict

from mlpipe_dagster.errors import UserError
from mlpipe_dagster.vocabulary import TaskKind

ConstraintKind = Literal[
    "demographic_parity", "equalized_odds", "true_positive_rate_parity", "false_positive_rate_parity"
]
KINDS: tuple[ConstraintKind, ...] = get_args(ConstraintKind)
ALIASES: Mapping[str, ConstraintKind] = {"equal_opportunity": "true_positive_rate_parity"}
UNCONSTRAINED = "none"
ALLOWED = 0.05
MOST_ALLOWED = 0.5
GIVEN: Mapping[ConstraintKind, tuple[int | None, ...]] = {
    "demographic_parity": (None,),
    "equalized_odds": (1, 0),
    "true_positive_rate_parity": (1,),
    "false_positive_rate_parity": (0,),
}
"""Among which rows the positive answers of groups are compared: all, those that are positive (1) or negative (0)."""
RATES: Mapping[int | None, str] = {None: "selection rate", 1: "true positive rate", 0: "false positive rate"}
EXPLAINED: Mapping[ConstraintKind, str] = {
    "demographic_parity": "every group gets the positive answer about equally often",
    "equalized_odds": "of those who are positive, and of those who are not, every group gets the positive answer about "
    "equally often",
    "true_positive_rate_parity": "of those who are positive, every group gets the positive answer about equally often",
    "false_positive_rate_parity": "of those who are not positive, every group gets the positive answer about equally "
    "often",
}
"""What each asks for, as the rest of a sentence."""
_NUMBER = re.compile(r"\d*\.?\d+")
HOW_TO_WRITE = (
    f"Write one of: {', '.join(KINDS)}; with the difference that is allowed, if it is another than {ALLOWED:g}, as in "
    f"demographic_parity:0.1; or {UNCONSTRAINED}."
)


class Constraint(BaseModel):
    """How alike groups have to be answered: the rates named by `GIVEN` differ by at most `allowed`."""

    model_config = ConfigDict(frozen=True)
    kind: ConstraintKind
    allowed: float = ALLOWED
    """Largest rate of a group minus smallest, from 0 to 0.5."""

    @property
    def word(self) -> str:
        """As `parse_constraint` reads it."""
        return f"{self.kind}:{self.allowed:g}"

    @property
    def title(self) -> str:
        """Its name for people, with what is allowed."""
        return f"{self.kind.replace('_', ' ')} within {self.allowed:g}"


def parse_constraint(text: str) -> Constraint | None:
    """What `demographic_parity`, `equalized_odds:0.1`, … mean, in any case, with hyphens or blanks; None for `none`.

    Raises
    ------
    UserError
        The kind is not known, or the allowed difference is not a number from 0 to 0.5.
    """
    name, colon, number = text.partition(":")
    word = re.sub(r"[\s-]+", "_", name.strip().lower())
    if word == UNCONSTRAINED and not colon:
        return None
    kind = ALIASES.get(word, word)
    if kind not in KINDS or (colon and not _NUMBER.fullmatch(number.strip())):
        raise UserError(f"The fairness constraint “{text[:60]}” is not known. {HOW_TO_WRITE}")
    allowed = float(number) if colon else ALLOWED
    if allowed > MOST_ALLOWED:
        raise UserError(
            f"The difference that “{text[:60]}” allows is larger than {MOST_ALLOWED:g}, which constrains nothing. "
            f"{HOW_TO_WRITE}"
        )
    return Constraint(kind=kind, allowed=allowed)


class _Engine(Protocol):
    """What has to be known of an engine: whoever reads a model needs no engines."""

    @property
    def title(self) -> str: ...

    @property
    def weighs_rows(self) -> bool: ...


def settle_constraint(wish: str | None, task: TaskKind, sensitive: Sequence[str], engine: _Engine) -> Constraint | None:
    """The constraint that a wish means for this training.

    Raises
    ------
    UserError
        It cannot be held: not two classes, no sensitive column, or an engine that takes no weights.
    """
    constraint = parse_constraint(wish) if wish else None
    if constraint is None:
        return None
    name = constraint.kind
    if task is not TaskKind.BINARY:
        raise UserError(
            f"The fairness constraint {name} needs a target of two classes; this one is {task.value}. Choose such a "
            "target, or ask for no constraint (none); a mitigation works for other targets as well."
        )
    if not sensitive:
        raise UserError(
            f"The fairness constraint {name} needs sensitive columns. Name them (sensitive_features), or ask for no "
            "constraint (none)."
        )
    if not engine.weighs_rows:
        raise UserError(
            f"{engine.title} cannot weigh rows, which the fairness constraint {name} needs. Choose another engine, or "
            "ask for no constraint (none)."
        )
    return constraint
