"""What a pipeline predicts and how: a person's wishes, then their defaults, then inference from the profile.

Pure functions. Whether to go on, ask or stop is decided in agentic_core.py.
"""

import difflib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, field_validator

from mlpipe_dagster.automl.engines.known import (
    AUTO,
    PORTFOLIO,
    KnownEngine,
    ShortBudget,
    enough_seconds,
    known_engine,
    parse_engine,
)
from mlpipe_dagster.automl.fairness.constraint import UNCONSTRAINED, parse_constraint, settle_constraint
from mlpipe_dagster.automl.infer import infer_target, infer_task
from mlpipe_dagster.bias.mitigation.choice import (
    ANY_FITTING,
    EXPLAINED,
    NO_MITIGATION,
    MitigationWish,
    settle_mitigation,
)
from mlpipe_dagster.bias.sensitive import find_sensitive, recognise
from mlpipe_dagster.bias.sensitive_kinds import POSTCODE
from mlpipe_dagster.bias.shares import check_shares, parse_shares
from mlpipe_dagster.bias.target import choose_positive
from mlpipe_dagster.errors import TargetError, TaskError, UserError
from mlpipe_dagster.events import Id
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.tables.profile import ColumnProfile, Profile
from mlpipe_dagster.vocabulary import (
    AfterTimeout,
    Level,
    Mitigation,
    TaskKind,
    parse_task,
    parse_time_budget,
    parse_wait,
    split_list,
)

Mode = Literal["auto", "ask"]
AskedKind = Literal["target", "bias", "explain"]
ASKED_KINDS: tuple[AskedKind, ...] = ("target", "bias", "explain")
"""What a person can be asked: what to predict, whether to go on after the bias report, whether to explain."""
ASKED = "as you asked"
SUGGESTED = "suggested; nobody answered in time"
BINARY_CLASSES = 2


class Wishes(BaseModel):
    """What somebody said they want; None where they said nothing."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    target_column_name: str | None = None
    task_type: str | None = None
    time_budget: str | None = None
    engine: str | None = None
    short_budget: ShortBudget | None = None
    """What becomes of a time budget below the engine's least."""
    continue_from: str | None = None
    """Version of the model whose search the next training goes on from; of that training alone."""
    xai_level: Level | None = None
    sensitive_features: tuple[str, ...] | None = None
    positive_class: str | None = None
    """The class of a binary target that counts as the positive outcome, in the bias report and of the model."""
    conditioning_column: str | None = None
    """The column within whose values the bias report compares groups once more.

    Of both and of the next, an empty text takes back what was named before."""
    reference_shares: str | None = None
    """What part of the rows each group of a sensitive column should be, as `bias/shares.py` reads it."""
    drop: tuple[str, ...] | None = None
    """Columns that no model is trained on."""
    mitigation: MitigationWish | None = None
    """What is done about bias before training: a method, `auto` for one that fits, or `none`."""
    fairness: str | None = None
    """How alike a model has to answer the groups of sensitive columns, as `parse_constraint` reads it, or `none`."""
    mode: Mode | None = None
    ask: tuple[AskedKind, ...] | None = None
    """Which questions are asked; where nothing is said, the mode `ask` asks for the target alone."""
    question_timeout: str | None = None
    """How long a question waits: `30m`, `2h`, `3d`, or `none`."""
    question_outcome: AfterTimeout | None = None
    question_reminder: str | None = None
    """When its respondents are reminded, counted from when it is asked."""
    respondents: tuple[Id, ...] | None = None
    """Who may answer besides the owner."""

    @field_validator("task_type")
    @classmethod
    def _known_task(cls, text: str | None) -> str | None:
        if text is not None:
            parse_task(text)
        return text

    @field_validator("engine")
    @classmethod
    def _known_engine(cls, text: str | None) -> str | None:
        return text if text is None else parse_engine(text)

    @field_validator("fairness")
    @classmethod
    def _known_constraint(cls, text: str | None) -> str | None:
        constraint = parse_constraint(text) if text is not None else None
        return constraint.word if constraint else text and UNCONSTRAINED

    @field_validator("reference_shares")
    @classmethod
    def _known_shares(cls, text: str | None) -> str | None:
        if text:
            parse_shares(text)
        return text

    @field_validator("question_timeout", "question_reminder")
    @classmethod
    def _known_wait(cls, text: str | None) -> str | None:
        if text is not None:
            parse_wait(text)
        return text

    @classmethod
    def from_metadata(cls, custom_metadata: dict[str, Any]) -> Self:
        """The wishes an upload carried in `custom_metadata["pipeline"]`."""
        said = custom_metadata.get("pipeline")
        return cls.model_validate(said if isinstance(said, dict) else {})

    def over(self, others: "Wishes") -> "Wishes":
        """These wishes, and where they say nothing the others'."""
        return others.model_copy(update={name: value for name, value in self if value is not None})

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """What holds for everybody whose upload and policy say nothing."""
        sensitive = split_list(settings.default_sensitive)
        return cls(
            target_column_name=settings.default_target or None,
            task_type=settings.default_task_type or None,
            time_budget=settings.default_time_budget,
            engine=settings.default_engine,
            short_budget=settings.short_budget,
            xai_level=settings.default_xai_level,
            sensitive_features=sensitive or None,
            mode=settings.default_mode,
            question_timeout=settings.question_timeout,
            question_outcome=settings.question_outcome,
            question_reminder=settings.question_reminder,
        )


def check_policy(wishes: Wishes, budget_unit: str = "seconds") -> None:
    """Hold to what a pipeline understands what is to apply to many; raises UserError with what to write instead."""
    if wishes.time_budget is not None:
        parse_time_budget(wishes.time_budget, budget_unit)
    if wishes.mode == "auto" and wishes.ask:
        raise UserError("The mode auto asks nothing, but “ask” names questions. Leave one of the two out.")
    timeout, reminder = (
        parse_wait(text) if text else None for text in (wishes.question_timeout, wishes.question_reminder)
    )
    if timeout and reminder and reminder >= timeout and wishes.question_outcome != "wait":
        raise UserError("The reminder would come when the question is over. Make question_reminder the shorter one.")


class Choices(BaseModel):
    """What the pipeline will do, and why."""

    model_config = ConfigDict(frozen=True)
    target: str
    task: TaskKind
    sensitive: tuple[str, ...]
    positive: str | None = None
    """As the person named it; None where it is inferred."""
    conditioning: str | None = None
    """As the person named it; None where the bias report proposes a column."""
    reference_shares: str | None = None
    """As the person wrote them; None where groups are held against equal shares."""
    drop: tuple[str, ...] = ()
    """Columns that no model is trained on."""
    time_budget: str
    """As it is published: the person's own words."""
    time_budget_seconds: float
    engine: str = PORTFOLIO
    continue_from: str | None = None
    """Version of the model whose search is gone on from."""
    level: Level
    mitigation: Mitigation | None = None
    """What is done about bias before training."""
    fairness: str | None = None
    """The fairness constraint that a model is held to, as `parse_constraint` reads it."""
    reasons: tuple[str, ...]
    """One plain sentence for each choice."""


def choose(profile: Profile, wishes: Wishes, defaults: Wishes, budget_unit: str = "seconds") -> Choices:
    """Settle every choice, each from the wishes, else the defaults, else inference.

    Raises
    ------
    TargetError, TaskError, BudgetError
        A wish cannot be met, or nothing can be inferred; the message says what to do.
    """
    target, target_reason = choose_target(profile, wishes, defaults)
    column = existing_column(profile, target)
    task, task_reason = choose_task(wishes, defaults, column, profile.row_count)
    sensitive, sensitive_reason = _choose_sensitive(profile, wishes, defaults, target)
    comparison = Comparison.choose(profile, wishes, defaults, column, task, sensitive)
    drop, drop_reason = _choose_drop(profile, wishes, defaults, target)
    engine = known_engine(wishes.engine or defaults.engine or AUTO)
    budget, seconds, budget_reason = _choose_budget(wishes, defaults, engine, budget_unit)
    level = wishes.xai_level or defaults.xai_level or Level.BEGINNER
    mitigation, mitigation_reason = _choose_mitigation(wishes, defaults, task, sensitive)
    fairness, fairness_reason = _choose_constraint(wishes, defaults, task, sensitive, engine)
    return Choices(
        target=target,
        task=task,
        sensitive=sensitive,
        positive=comparison.positive,
        conditioning=comparison.within,
        reference_shares=comparison.shares,
        drop=drop,
        time_budget=budget,
        time_budget_seconds=seconds,
        engine=engine.word,
        continue_from=wishes.continue_from,
        level=level,
        mitigation=mitigation,
        fairness=fairness,
        reasons=(
            f"Target column: {target} ({target_reason.rstrip('.')}).",
            f"Task: {task.value} ({task_reason.rstrip('.')}).",
            f"Sensitive columns: {', '.join(sensitive) or 'none'} ({sensitive_reason}).",
            *comparison.reasons,
            *((f"Left out of training: {', '.join(drop)} ({drop_reason}).",) if drop else ()),
            f"Time budget: {budget} ({budget_reason}).",
            f"Engine: {engine.title} ({ASKED if wishes.engine else 'the default'}).",
            *((f"Search: goes on from the trials of {wishes.continue_from}.",) if wishes.continue_from else ()),
            f"Explanations for: {level.value} ({ASKED if wishes.xai_level else 'the default'}).",
            *mitigation_reason,
            *fairness_reason,
        ),
    )


def _choose_budget(wishes: Wishes, defaults: Wishes, engine: KnownEngine, unit: str) -> tuple[str, float, str]:
    """The budget in words and seconds, and why; raises BudgetError where the engine needs more."""
    budget = wishes.time_budget or defaults.time_budget or "60"
    asked = parse_time_budget(budget, unit)
    seconds = enough_seconds(engine, asked, wishes.short_budget or defaults.short_budget or "refuse")
    if seconds > asked:
        return f"{seconds:g}s", seconds, f"the least that {engine.title} needs, in place of {budget}"
    return budget, seconds, ASKED if wishes.time_budget else "the default"


def _choose_mitigation(
    wishes: Wishes, defaults: Wishes, task: TaskKind, sensitive: tuple[str, ...]
) -> tuple[Mitigation | None, tuple[str, ...]]:
    """The method and why; a default counts where it fits. Raises UserError for a wish that does not."""
    wish = wishes.mitigation
    if wish is not None:
        method = settle_mitigation(wish, task, sensitive)
        if method is None:
            return None, (f"Mitigation: none ({ASKED if wish == NO_MITIGATION else 'no sensitive columns'}).",)
        return method, (f"Mitigation: {method.value} ({EXPLAINED[method] if wish == ANY_FITTING else ASKED}).",)
    with suppress(UserError):
        method = settle_mitigation(defaults.mitigation, task, sensitive)
        return method, (f"Mitigation: {method.value} (your default).",) if method else ()
    return None, (f"Mitigation: none (your default, {defaults.mitigation}, does not fit).",)


def _choose_constraint(
    wishes: Wishes, defaults: Wishes, task: TaskKind, sensitive: tuple[str, ...], engine: KnownEngine
) -> tuple[str | None, tuple[str, ...]]:
    """The fairness constraint and why; a default counts where it fits. Raises UserError for a wish that does not."""

    def held(said: str) -> str:
        constraint = settle_constraint(said, task, sensitive, engine)
        return constraint.word if constraint else UNCONSTRAINED

    found = _wished(wishes.fairness, defaults.fairness, held)
    why = ASKED if wishes.fairness else "your default"
    if found is None:
        unfit = f"Fairness constraint: none (your default, {defaults.fairness}, does not fit)."
        return None, (unfit,) if defaults.fairness else ()
    return None if found == UNCONSTRAINED else found, (f"Fairness constraint: {found} ({why}).",)


def revised(wishes: Wishes, recorded: Choices | None, changes: Wishes) -> Wishes:
    """What is wished for once a person changed their mind: the changes, else what was settled, else the old wishes.

    Another target leaves its task to be inferred where none is named; another target or task, the positive class. A
    column that becomes target or sensitive is no longer conditioned on.
    """
    said = changes.model_dump(exclude_none=True)
    settled = _as_wishes(recorded) if recorded else {}
    target = said.get("target_column_name", settled.get("target_column_name"))
    another = target != settled.get("target_column_name")
    if another and "task_type" not in said:
        settled["task_type"] = None
    if another or said.get("task_type", settled.get("task_type")) != settled.get("task_type"):
        settled["positive_class"] = None
    shares = settled.get("reference_shares")
    if shares and not parse_shares(shares).keys() <= {
        *said.get("sensitive_features", settled["sensitive_features"])
    } - {target}:
        settled["reference_shares"] = None
    if settled.get("conditioning_column") in (target, *said.get("sensitive_features", ())):
        settled["conditioning_column"] = None
    for listed in ("sensitive_features", "drop"):
        if listed not in said and target in settled.get(listed, ()):
            settled[listed] = tuple(name for name in settled[listed] if name != target)
    if "mitigation" not in said:
        settled["mitigation"] = _mitigation_again(wishes, recorded, said)
    if recorded and not said.keys() & {"target_column_name", "task_type", "sensitive_features", "engine"}:
        settled["fairness"] = recorded.fairness or UNCONSTRAINED
    return wishes.model_copy(update=settled | said)


def keeping_reasons(before: Choices | None, after: Choices) -> Choices:
    """The choices after a change: what stayed as it was keeps its reason, but for the task of another target."""
    if before is None:
        return after
    kept = [line for line in before.reasons if before.target == after.target or not line.startswith("Task: ")]
    heads = {line.rpartition(" (")[0]: line for line in kept}
    reasons = tuple(heads.get(line.rpartition(" (")[0], line) for line in after.reasons)
    return after.model_copy(update={"reasons": reasons})


def _mitigation_again(wishes: Wishes, recorded: Choices | None, said: dict[str, Any]) -> MitigationWish | None:
    """The method that was settled; one that fits, where what it has to fit was changed."""
    if recorded is None or recorded.mitigation is None:
        return None if recorded is None or wishes.mitigation is None else NO_MITIGATION
    changed = said.keys() & {"target_column_name", "task_type", "sensitive_features"}
    return ANY_FITTING if changed else recorded.mitigation


def _as_wishes(choices: Choices) -> dict[str, Any]:
    return {
        "target_column_name": choices.target,
        "task_type": choices.task.value,
        "sensitive_features": choices.sensitive,
        "positive_class": choices.positive,
        "conditioning_column": choices.conditioning,
        "reference_shares": choices.reference_shares,
        "drop": choices.drop,
        "time_budget": choices.time_budget,
        "engine": choices.engine,
        "xai_level": choices.level,
    }


def choose_target(profile: Profile, wishes: Wishes, defaults: Wishes) -> tuple[str, str]:
    """The target and why; a default counts where the table has that column. Raises TargetError where none is found."""
    if wishes.target_column_name:
        return wishes.target_column_name, ASKED
    if defaults.target_column_name and profile.column(defaults.target_column_name):
        return defaults.target_column_name, "your default"
    return infer_target(profile)


def choose_task(wishes: Wishes, defaults: Wishes, column: ColumnProfile, row_count: int) -> tuple[TaskKind, str]:
    """The task and why; a default counts where it fits the column. Raises TaskError as `resolve_task`."""
    if wishes.task_type is None and defaults.task_type is not None:
        with suppress(TaskError):
            return resolve_task(defaults.task_type, column, row_count)[0], "your default"
    return resolve_task(wishes.task_type, column, row_count)


def _choose_sensitive(profile: Profile, wishes: Wishes, defaults: Wishes, target: str) -> tuple[tuple[str, ...], str]:
    if wishes.sensitive_features is not None:
        missing = [name for name in wishes.sensitive_features if profile.column(name) is None]
        if missing:
            raise UserError(f"The sensitive column {_did_you_mean(profile, missing[0])}")
        return tuple(dict.fromkeys(wishes.sensitive_features)), ASKED
    known = tuple(name for name in defaults.sensitive_features or () if profile.column(name))
    if known:
        return known, "your default"
    found = tuple(item.column for item in find_sensitive(profile) if item.column != target)
    return found, "found by their names and values"


@dataclass(frozen=True)
class Comparison:
    """What outcome counts as positive and within which column groups are compared, where somebody named them."""

    positive: str | None
    within: str | None
    shares: str | None
    """Expected of the groups of sensitive columns."""
    reasons: tuple[str, ...]

    @classmethod
    def choose(
        cls,
        profile: Profile,
        wishes: Wishes,
        defaults: Wishes,
        column: ColumnProfile,
        task: TaskKind,
        sensitive: tuple[str, ...],
    ) -> Self:
        """As wished, else the default where it fits; raises TargetError or UserError for a wish that does not."""
        positive = _wished(
            wishes.positive_class, defaults.positive_class, lambda said: _check_positive(said, column, task)
        )
        within = _wished(
            wishes.conditioning_column,
            defaults.conditioning_column,
            lambda said: _check_within(said, profile, column, sensitive),
        )
        shares = _wished(
            wishes.reference_shares, defaults.reference_shares, lambda said: _check_shares(said, profile, sensitive)
        )
        why = ("your default", ASKED)
        named = (
            ("Positive outcome", positive, why[wishes.positive_class is not None]),
            ("Compared within", within, why[wishes.conditioning_column is not None]),
            ("Expected shares", shares, why[wishes.reference_shares is not None]),
        )
        reasons = tuple(f"{what}: {said} ({w})." for what, said, w in named if said)
        return cls(positive or None, within or None, shares or None, reasons)


def _wished(wish: str | None, default: str | None, check: Callable[[str], str]) -> str | None:
    """The wish, which has to fit; without one the default, where that fits. An empty wish takes back both."""
    if wish:
        return check(wish)
    if wish is None and default:
        with suppress(UserError):
            return check(default)
    return wish


def _check_positive(positive: str, column: ColumnProfile, task: TaskKind) -> str:
    """The class; raises TargetError where the target has not two classes, or that is none of them."""
    if task is not TaskKind.BINARY:
        raise TargetError(
            f"A positive class needs a target with two classes, which “{column.name}” is not. Leave it out."
        )
    choose_positive(column.name, {one.value: one.count for one in column.top_values}, positive)
    return positive


def _check_within(within: str, profile: Profile, column: ColumnProfile, sensitive: tuple[str, ...]) -> str:
    """The column; raises UserError where it is absent, the target or sensitive."""
    if profile.column(within) is None:
        raise UserError(f"The conditioning column {_did_you_mean(profile, within)}")
    if within in (column.name, *sensitive):
        raise UserError(f"“{within}” is the target or a sensitive column. Name another conditioning column.")
    return within


def _check_shares(text: str, profile: Profile, sensitive: tuple[str, ...]) -> str:
    """The shares; raises UserError where a column is absent or not sensitive, or its groups are known and others.

    The groups of numbers, dates, postcodes and of more than 20 values are known when bias is measured.
    """
    for name, given in parse_shares(text).items():
        column = profile.column(name)
        if column is None:
            raise UserError(f"The column of reference shares {_did_you_mean(profile, name)}")
        if name not in sensitive:
            raise UserError(
                f"Reference shares are given for “{name}”, which is not among the sensitive columns. Name it there."
            )
        known = recognise(column)
        plain = column.kind == "category" and (known is None or known.kind != POSTCODE)
        if plain and column.distinct <= len(column.top_values):
            check_shares(name, [one.value.strip() for one in column.top_values], given)
    return text


def _choose_drop(profile: Profile, wishes: Wishes, defaults: Wishes, target: str) -> tuple[tuple[str, ...], str]:
    """The columns to train without, and why; raises UserError where one is absent or the target, or none is left."""
    if wishes.drop is None:
        return tuple(name for name in defaults.drop or () if profile.column(name) and name != target), "your default"
    missing = [name for name in wishes.drop if profile.column(name) is None]
    if missing:
        raise UserError(f"The column to leave out {_did_you_mean(profile, missing[0])}")
    if target in wishes.drop:
        raise UserError(f"“{target}” is what is predicted and cannot be left out. Predict another column, or keep it.")
    if len({*wishes.drop, target}) == len(profile.columns):
        raise UserError("No column is left to learn from. Leave out fewer columns.")
    return tuple(dict.fromkeys(wishes.drop)), ASKED


def predictable(profile: Profile) -> list[str]:
    """Columns that `existing_column` lets through; all where it does none, so that a choice of one says why not."""
    return [
        column.name for column in profile.columns if column.distinct >= BINARY_CLASSES and not column.personal
    ] or profile.names


def existing_column(profile: Profile, name: str) -> ColumnProfile:
    """The target's profile.

    Raises
    ------
    TargetError
        There is no such column (with the nearest name), it is empty or constant, or it identifies people.
    """
    column = profile.column(name)
    if column is None:
        raise TargetError(f"The target column {_did_you_mean(profile, name)}")
    if column.missing == profile.row_count:
        raise TargetError(f"The target column “{name}” is empty in every row. Choose another target column.")
    if column.distinct < BINARY_CLASSES:
        raise TargetError(
            f"The target column “{name}” has only one value, so there is nothing to predict. Choose another."
        )
    if column.personal:
        raise TargetError(
            f"The target column “{name}” identifies people ({column.personal}), so its values are shown nowhere. "
            "Choose another target column, or upload the table with another column name if that is not what it holds."
        )
    return column


def _did_you_mean(profile: Profile, name: str) -> str:
    near = difflib.get_close_matches(name.lower(), [known.lower() for known in profile.names], n=1, cutoff=0.5)
    suggestion = next((known for known in profile.names if near and known.lower() == near[0]), None)
    columns = ", ".join(profile.names[:20]) + ("…" if len(profile.names) > 20 else "")
    hint = f"Did you mean “{suggestion}”?" if suggestion else f"The columns are: {columns}."
    return f"“{name}” is not in the table. {hint}"


def resolve_task(word: str | None, column: ColumnProfile, row_count: int) -> tuple[TaskKind, str]:
    """The task kind that `word` asks for, held against the target; inferred where `word` is None.

    Raises
    ------
    TaskError
        The word is unknown, or does not fit the target's values.
    """
    if word is None:
        return infer_task(column, row_count)
    asked = parse_task(word)
    if asked is None:
        kind = TaskKind.BINARY if column.distinct == BINARY_CLASSES else TaskKind.MULTICLASS
        return kind, f"classification as asked; {column.name} has {column.distinct} values"
    if asked is TaskKind.REGRESSION and not column.data_type.startswith(("int", "float")):
        raise TaskError(
            f"Regression needs numbers, but “{column.name}” holds {column.kind} values. "
            "Choose classification or another target."
        )
    if asked is TaskKind.BINARY and column.distinct != BINARY_CLASSES:
        raise TaskError(
            f"Binary classification needs two classes, but “{column.name}” has {column.distinct} different values. "
            "Choose multiclass or regression."
        )
    return asked, "as asked"


def settle(
    profile: Profile, target: str | None, task_type: str | None, recorded: Choices | None
) -> tuple[str, TaskKind]:
    """Target and task of a trigger: its own words, else the pipeline's recorded choice, else inference.

    Raises
    ------
    TargetError, TaskError
        As `choose`.
    """
    name = target or (recorded.target if recorded else None) or infer_target(profile)[0]
    column = existing_column(profile, name)
    if recorded and recorded.target == name and task_type in (None, recorded.task.published):
        return name, recorded.task
    return name, resolve_task(task_type, column, profile.row_count)[0]
