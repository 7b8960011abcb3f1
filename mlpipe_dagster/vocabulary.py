"""The closed word lists that contracts and domain code share: task kinds, levels, stages, roles, budgets.

Here live the words and their parsing, nothing that acts on them.
"""

import re
from enum import StrEnum
from typing import Literal, get_args

from mlpipe_dagster.errors import BudgetError, TaskError, UserError


class TaskKind(StrEnum):
    """What is predicted. Contracts carry only `TaskKind.published`; the finer kind travels in a header."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def published(self) -> str:
        """`classification` or `regression`: the words existing workers understand."""
        return "regression" if self is TaskKind.REGRESSION else "classification"


class Level(StrEnum):
    """The reader's expertise."""

    BEGINNER = "beginner"
    INTERMEDIATE = "intermediate"
    EXPERT = "expert"


class ReportType(StrEnum):
    """The two explanations that answer one trigger."""

    MODEL = "model_explanation"
    DATA = "data_explanation"


class Mitigation(StrEnum):
    """What is done about bias before a model learns it."""

    REWEIGHING = "reweighing"
    RESAMPLING = "resampling"
    CORRELATION_REMOVER = "correlation-remover"
    PROXY_DROPPING = "proxy-dropping"


class Stage(StrEnum):
    """The four stages, in order."""

    DATASET = "dataset"
    BIAS = "bias"
    AUTOML = "automl"
    XAI = "xai"


TRIGGERED = (Stage.BIAS, Stage.AUTOML, Stage.XAI)
"""The stages that a trigger starts, in order."""

PipelineStatus = Literal["running", "waiting", "done", "failed", "cancelled", "superseded"]
PIPELINE_STATUSES: tuple[PipelineStatus, ...] = get_args(PipelineStatus)

DeliveryState = Literal["waiting", "delivered", "failed", "dropped"]
DELIVERY_STATES: tuple[DeliveryState, ...] = get_args(DeliveryState)
"""What becomes of a notification on its way to an outside channel."""


class AccessRole(StrEnum):
    """What the bearer of an API key may do."""

    USER = "user"
    """All, with what is theirs."""
    SERVICE = "service"
    """A foreign worker: reads datasets and models, and stores results, whose ever they are."""
    ADMIN = "admin"
    AUDITOR = "auditor"
    """Reads everything and changes nothing."""


class Role(StrEnum):
    """The roles that ours or a foreign worker can play."""

    AGENTIC_CORE = "agentic-core"
    BIAS = "bias"
    AUTOML = "automl"
    XAI = "xai"


CLASSIFICATION_ALIASES = frozenset({"classification"})
_TASK_KINDS = {
    "binary": TaskKind.BINARY,
    "binary_classification": TaskKind.BINARY,
    "multiclass": TaskKind.MULTICLASS,
    "multiclass_classification": TaskKind.MULTICLASS,
    "regression": TaskKind.REGRESSION,
}


def parse_task(text: str) -> TaskKind | None:
    """The task kind that `text` names in any case; None for plain `classification`, whose kind the target decides.

    Raises
    ------
    TaskError
        The word is not a task type mlpipe knows.
    """
    word = text.strip().lower()
    if word in CLASSIFICATION_ALIASES:
        return None
    if word in _TASK_KINDS:
        return _TASK_KINDS[word]
    known = ", ".join(sorted(CLASSIFICATION_ALIASES | set(_TASK_KINDS)))
    raise TaskError(f"The task type “{text}” is not supported. Use one of: {known}.")


def known_task(text: str | None) -> TaskKind | None:
    """The kind that a word names; None for plain `classification` and for words we do not know."""
    return _TASK_KINDS.get(text.strip().lower()) if text else None


def published_task(text: str | None) -> str | None:
    """`classification` or `regression` for any word we know; what we do not know stays as it was said."""
    kind = known_task(text)
    is_classification = text is not None and text.strip().lower() in CLASSIFICATION_ALIASES
    return kind.published if kind else "classification" if is_classification else text


_BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smh]?)\s*", re.IGNORECASE)
_UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_BUDGET_SECONDS = 7 * 24 * 3600.0


def parse_time_budget(text: str, bare_number_unit: str = "seconds") -> float:
    """Seconds that `10s`, `10m`, `1h` or a bare number mean.

    Raises
    ------
    BudgetError
        `text` is not a positive duration, or longer than seven days.
    """
    match = _BUDGET.fullmatch(text)
    seconds = 0.0
    if match:
        unit = match[2].lower() or bare_number_unit[0]
        seconds = float(match[1]) * _UNIT_SECONDS[unit]
    if seconds <= 0:
        raise BudgetError(f"The time budget “{text[:40]}” is not a positive duration. Write 60 or 60s, 10m, 1h.")
    if seconds > LONGEST_BUDGET_SECONDS:
        raise BudgetError(f"The time budget “{text[:40]}” is longer than 7 days. Choose a shorter one.")
    return seconds


AfterTimeout = Literal["default", "cancel", "wait"]
AFTER_TIMEOUT: tuple[AfterTimeout, ...] = get_args(AfterTimeout)
"""What becomes of a question that nobody answered in time: its suggestion is taken, its pipeline ends, it waits on."""
NO_WAIT = "none"
WAIT_PATTERN = rf"^\s*(?:{NO_WAIT}|\d{{1,9}}(?:\.\d{{1,3}})?\s*[smhdSMHD]?)\s*$"
_WAIT_UNITS = _UNIT_SECONDS | {"d": 24 * 3600.0}
LONGEST_WAIT_SECONDS = 365 * 24 * 3600.0


def parse_wait(text: str) -> float | None:
    """Seconds that `90s`, `30m`, `2h`, `3d` or a bare number of seconds mean; None for `none`: no limit.

    Raises
    ------
    UserError
        `text` is neither, or longer than a year.
    """
    word = text.strip().lower()
    if word == NO_WAIT:
        return None
    seconds = 0.0
    if re.fullmatch(WAIT_PATTERN, word):
        unit = word[-1] if word[-1] in _WAIT_UNITS else "s"
        seconds = float(word.rstrip("smhd").strip()) * _WAIT_UNITS[unit]
    if not 0 < seconds <= LONGEST_WAIT_SECONDS:
        raise UserError(f"“{text[:40]}” is no time to wait. Write 90s, 30m, 2h, 3d (a year at most) or {NO_WAIT}.")
    return seconds


def split_list(text: str | None) -> tuple[str, ...]:
    """The parts of a comma-separated field, without blanks and empty ones."""
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())
