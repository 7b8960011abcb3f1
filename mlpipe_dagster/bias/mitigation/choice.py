"""Which mitigation is proposed for what reason, and which fits what is predicted. Words and rules; no table is read."""

from collections.abc import Mapping, Sequence
from typing import Literal

from mlpipe_dagster.errors import UserError
from mlpipe_dagster.vocabulary import Mitigation, TaskKind

MitigationWish = Mitigation | Literal["auto", "none"]
ANY_FITTING: Literal["auto"] = "auto"
NO_MITIGATION: Literal["none"] = "none"
MITIGATION_WISHES = (ANY_FITTING, NO_MITIGATION, *(method.value for method in Mitigation))
EXPLAINED: Mapping[Mitigation, str] = {
    Mitigation.REWEIGHING: "rows are weighted in training, so that every group has the outcome as often as all rows "
    "have it; no value is changed and no row is lost (Kamiran and Calders 2012)",
    Mitigation.RESAMPLING: "rows are left out or repeated in training, so that every group has the outcome as often as "
    "all rows have it (Kamiran and Calders 2012)",
    Mitigation.CORRELATION_REMOVER: "what the sensitive columns say is taken out of the numbers by linear regression, "
    "and the model does not read the sensitive columns themselves",
    Mitigation.PROXY_DROPPING: "the model reads neither the sensitive columns nor the columns that give them away",
}
"""What each does, as the rest of a sentence."""
NEEDS_CLASSES = (Mitigation.REWEIGHING, Mitigation.RESAMPLING)


def proposed(task: TaskKind) -> Mitigation:
    """The mildest method that fits: weights where classes are predicted, the correlation remover for numbers."""
    return Mitigation.CORRELATION_REMOVER if task is TaskKind.REGRESSION else Mitigation.REWEIGHING


def fitting(task: TaskKind) -> tuple[Mitigation, ...]:
    """The methods that suit a task, the proposed one first."""
    first = proposed(task)
    others = (method for method in Mitigation if method is not first)
    return (first, *(method for method in others if task is not TaskKind.REGRESSION or method not in NEEDS_CLASSES))


def settle_mitigation(wish: MitigationWish | None, task: TaskKind, sensitive: Sequence[str]) -> Mitigation | None:
    """The method that a wish means for this task.

    Raises
    ------
    UserError
        A method is wished for that does not fit, or there is no sensitive column to mitigate for.
    """
    if wish is None or wish == NO_MITIGATION:
        return None
    if not sensitive:
        if wish == ANY_FITTING:
            return None
        raise UserError(f"Mitigation by {wish} needs sensitive columns. Name them, or ask for no mitigation.")
    method = proposed(task) if wish == ANY_FITTING else Mitigation(wish)
    if method not in fitting(task):
        known = ", ".join(fitting(task))
        raise UserError(f"Mitigation by {method.value} needs classes to predict, not numbers. Use one of: {known}.")
    return method
