"""The pipeline choices that may come with an upload or an update: checked at the edge, kept as the person wrote them.

What a pipeline makes of them is decided in choices.py.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mlpipe_dagster.api.parameters import OptionalText
from mlpipe_dagster.automl.engines.known import SHORT_BUDGET, usable_engine
from mlpipe_dagster.automl.fairness.constraint import UNCONSTRAINED, parse_constraint
from mlpipe_dagster.bias.mitigation.choice import MITIGATION_WISHES
from mlpipe_dagster.bias.shares import parse_shares
from mlpipe_dagster.choices import ASKED_KINDS, Wishes
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.events import ID_PATTERN
from mlpipe_dagster.vocabulary import AFTER_TIMEOUT, Level, parse_task, parse_time_budget, parse_wait, split_list

MODES = ("auto", "ask")


@dataclass(frozen=True)
class ChoiceFields:
    """The form fields; all optional."""

    target_column_name: OptionalText = None
    task_type: OptionalText = None
    time_budget: OptionalText = None
    engine: OptionalText = None
    short_budget: OptionalText = None
    xai_level: OptionalText = None
    sensitive_features: OptionalText = None
    positive_class: OptionalText = None
    conditioning_column: OptionalText = None
    reference_shares: OptionalText = None
    drop: OptionalText = None
    mitigation: OptionalText = None
    fairness: OptionalText = None
    mode: OptionalText = None
    ask: OptionalText = None
    question_timeout: OptionalText = None
    question_outcome: OptionalText = None
    question_reminder: OptionalText = None
    respondents: OptionalText = None

    def custom_metadata(self, budget_unit: str) -> dict[str, Any]:
        """`{"pipeline": {…}}` with what was said, `{}` when nothing was.

        Raises
        ------
        UserError
            A choice is not one that is understood; the message says what to write.
        """
        given = {name: text.strip() for name, text in vars(self).items() if text and text.strip()}
        choices = {name: _PARSERS[name](text, budget_unit) for name, text in given.items()}
        return {"pipeline": choices} if choices else {}


def check_pipeline_choices(custom_metadata: Mapping[str, Any], budget_unit: str) -> None:
    """Hold the `pipeline` part of new metadata to what a pipeline understands; raises UserError."""
    said = custom_metadata.get("pipeline", {})
    if not isinstance(said, dict):
        raise UserError("custom_metadata.pipeline must be an object, such as {“time_budget”: “60”}.")
    try:
        wishes = Wishes.model_validate(said)
    except ValidationError as error:
        fault = error.errors()[0]
        raise UserError(f"custom_metadata.pipeline.{fault['loc'][0]}: {fault['msg']}.") from error
    if wishes.time_budget:
        parse_time_budget(wishes.time_budget, budget_unit)
    if wishes.engine:
        usable_engine(wishes.engine)


def _task(text: str, _unit: str) -> str:
    parse_task(text)
    return text


def _budget(text: str, unit: str) -> str:
    parse_time_budget(text, unit)
    return text


def _shares(text: str, _unit: str) -> str:
    parse_shares(text)
    return text


def _constraint(text: str, _unit: str) -> str:
    constraint = parse_constraint(text)
    return constraint.word if constraint else UNCONSTRAINED


def _one_of(known: Sequence[str], refusal: str) -> Callable[[str, str], str]:
    """A parser that takes one of the known words, in any case; `refusal` says what is wrong with another one."""

    def parse(text: str, _unit: str) -> str:
        if text.lower() not in known:
            raise UserError(f"{refusal.format(text)} Use one of: {', '.join(known)}.")
        return text.lower()

    return parse


def _ask(text: str, _unit: str) -> list[str]:
    kinds = [kind.lower() for kind in split_list(text)]
    unknown = [kind for kind in kinds if kind not in ASKED_KINDS]
    if unknown:
        raise UserError(f"“{unknown[0]}” is no question. Use some of: {', '.join(ASKED_KINDS)}.")
    return kinds


def _wait(text: str, _unit: str) -> str:
    parse_wait(text)
    return text


def _respondents(text: str, _unit: str) -> list[str]:
    named = split_list(text)
    wrong = [user_id for user_id in named if not re.fullmatch(ID_PATTERN, user_id)]
    if wrong:
        raise UserError(
            f"“{wrong[0]}” cannot be the id of a user. Name respondents by their ids: ann, bob@example.org."
        )
    return list(named)


_PARSERS: Mapping[str, Callable[[str, str], str | list[str]]] = {
    "target_column_name": lambda text, _unit: text,
    "task_type": _task,
    "time_budget": _budget,
    "engine": lambda text, _unit: usable_engine(text),
    "short_budget": _one_of(SHORT_BUDGET, "“{}” is nothing that becomes of a short budget."),
    "xai_level": _one_of([level.value for level in Level], "The level “{}” is not known."),
    "sensitive_features": lambda text, _unit: list(split_list(text)),
    "positive_class": lambda text, _unit: text,
    "conditioning_column": lambda text, _unit: text,
    "reference_shares": _shares,
    "drop": lambda text, _unit: list(split_list(text)),
    "mitigation": _one_of(MITIGATION_WISHES, "The mitigation “{}” is not known."),
    "fairness": _constraint,
    "mode": _one_of(MODES, "The mode “{}” is not known."),
    "ask": _ask,
    "question_timeout": _wait,
    "question_outcome": _one_of(AFTER_TIMEOUT, "“{}” is nothing that happens to a question in the end."),
    "question_reminder": _wait,
    "respondents": _respondents,
}
