"""The agentic core: `decide` says what follows from an event, given what is known. Pure: no I/O, no clock, no ids.

The warehouse stores the outcome together with the state it follows from (warehouse/decisions.py).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from mlpipe_dagster.bias.mitigation.choice import ANY_FITTING, EXPLAINED, NO_MITIGATION, fitting
from mlpipe_dagster.bias.sensitive import UNSUITABLE_KINDS
from mlpipe_dagster.choices import (
    ASKED,
    SUGGESTED,
    AskedKind,
    Choices,
    Wishes,
    choose,
    choose_target,
    choose_task,
    existing_column,
    keeping_reasons,
    predictable,
    revised,
)
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.events import (
    AutomlTrigger,
    BiasReported,
    BiasTrigger,
    DatasetUploaded,
    Event,
    ModelUploaded,
    XaiReported,
    XaiTrigger,
)
from mlpipe_dagster.patience import Patience, patience_of
from mlpipe_dagster.reports.wording import list_text
from mlpipe_dagster.tables.excerpt import in_markdown, markdown_table
from mlpipe_dagster.tables.profile import Profile
from mlpipe_dagster.vocabulary import Level, ReportType, Stage, TaskKind, published_task

REPORT_NAMES = {ReportType.MODEL: "model", ReportType.DATA: "data"}

PROCEED, OTHER_SENSITIVE, STOP = "proceed", "choose other sensitive features", "stop"
MITIGATE = "proceed with mitigation"
AFTER_BIAS = (PROCEED, MITIGATE, OTHER_SENSITIVE, STOP)
NO_EXPLANATION = "no explanation"
STOPPED = "The person stopped after the bias report."
UNEXPLAINED = "The person wanted no explanation."
ENDS = {STOPPED: "cancelled", UNEXPLAINED: "done"}
"""How a pipeline ends that a person's answer stops."""


@dataclass(frozen=True)
class Known:
    """What the warehouse knows when an event is decided."""

    timestamp: str
    """When the decision is made, as contracts write it."""
    profile: Profile | None = None
    wishes: Wishes = field(default_factory=Wishes)
    defaults: Wishes = field(default_factory=Wishes)
    choices: Choices | None = None
    dataset_object: Mapping[str, Any] = field(default_factory=dict)
    budget_unit: str = "seconds"
    superseded_by: str | None = None
    view_link: str | None = None
    findings: tuple[str, ...] = ()
    """What our bias report found, a plain sentence each."""
    leaks: tuple[str, ...] = ()
    """Columns that give the target away, as our bias report warns."""
    unmeasured: bool = False
    """Whether our bias report found no sensitive column to look at."""
    bias_link: str | None = None
    first_rows: tuple[Mapping[str, str], ...] = ()
    """Of the table, as text; empty where nobody is asked about them."""
    nobody_answered: bool = False
    """Whether an answer is the question's own suggestion, taken when its time was over."""

    def asks(self, kind: AskedKind) -> bool:
        """Whether the person wants to decide that themselves: said with the upload, else by their policy."""
        said, usual = self.wishes, self.defaults
        if said.ask is not None:
            return kind in said.ask
        if said.mode == "auto":
            return False
        if usual.ask is not None and (usual.ask or said.mode is None):
            return kind in usual.ask
        if (said.mode or usual.mode) != "ask":
            return False
        return kind == "target" or (kind == "bias" and self.unmeasured)


@dataclass(frozen=True)
class Trigger:
    """Start the next stage."""

    event: Event
    choices: Choices | None = None
    notice: "Notice | None" = None


@dataclass(frozen=True)
class Ask:
    """A person decides; `fields` is the JSON Schema of the answer."""

    kind: AskedKind
    subject: str
    body: str
    fields: dict[str, Any]
    about: dict[str, Any] = field(default_factory=dict)
    """What the answer will need to know of the event that was asked about."""
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class Notice:
    """Tell the person something."""

    subject: str
    body: str
    severity: str = "info"
    link: str | None = None


@dataclass(frozen=True)
class Failure:
    """The pipeline cannot go on; the person is told why and what to do."""

    stage: Stage
    error_type: str
    message: str


@dataclass(frozen=True)
class Stop:
    """Nothing follows, for a reason worth keeping."""

    reason: str


Outcome = Trigger | Ask | Notice | Failure | Stop


def decide(event: Event, known: Known) -> Outcome:
    """What follows from `event`."""
    if known.superseded_by:
        return Stop(f"A newer version, {known.superseded_by}, has been uploaded.")
    outcome = _RULES[type(event)](event, known)
    if isinstance(outcome, Ask):
        terms = patience_of(known.wishes, known.defaults)
        return replace(outcome, patience=terms.for_question(outcome.fields))
    return outcome


def _after_upload(event: Event, known: Known) -> Outcome:
    if known.profile is None:
        return Stop("The table has not been read yet.")
    wishes, profile = known.wishes, known.profile
    try:
        if known.asks("target") and not (wishes.target_column_name and wishes.task_type):
            return _ask_for_target(cast(DatasetUploaded, event), profile, known)
        choices = _before_question(choose(profile, wishes, known.defaults, known.budget_unit), known)
    except UserError as error:
        return Failure(Stage.DATASET, error.error_type, str(error))
    return bias_trigger(event.record_key, cast(DatasetUploaded, event).user_id, choices, known)


def _before_question(choices: Choices, known: Known) -> Choices:
    """What a person will be asked after the bias report is not decided before it: whether to mitigate."""
    if choices.mitigation is None or not known.asks("bias"):
        return choices
    reasons = tuple(line for line in choices.reasons if not line.startswith("Mitigation: "))
    return choices.model_copy(update={"mitigation": None, "reasons": reasons})


def bias_trigger(dataset_id: str, user_id: str, choices: Choices, known: Known) -> Trigger:
    """The trigger that starts a pipeline with these choices, and the notice of what was chosen and why."""
    trigger = BiasTrigger(
        dataset_id=dataset_id,
        user_id=user_id,
        timestamp=known.timestamp,
        target_column_name=choices.target,
        task_type=choices.task.published,
        metadata=dict(known.dataset_object),
        record_count=known.profile.row_count if known.profile else None,
    )
    reasons = "\n".join(f"- {in_markdown(line)}" for line in choices.reasons)
    notice = Notice(subject=f"{dataset_id}: what will happen", body=reasons)
    return Trigger(trigger, choices, notice)


def _ask_for_target(event: DatasetUploaded, profile: Profile, known: Known) -> Ask:
    target_field: dict[str, Any] = {"type": "string", "title": "Column to predict", "enum": predictable(profile)}
    task_field: dict[str, Any] = {
        "type": "string",
        "title": "Kind of task",
        "description": "Where it is left out: what fits the column.",
        "enum": ["binary", "multiclass", "regression"],
    }
    guess: str | None
    try:
        guess, task, why = _proposal(profile, known)
        proposal = f"We would take “{guess}” ({task.value}): {why.rstrip('.')}."
        target_field["default"] = guess  # and no default of the task: it would be that of another column
    except UserError as error:
        guess, proposal = None, str(error)
    size = f"{event.dataset.name} has {profile.row_count:,} rows and {len(profile.columns)} columns."
    return Ask(
        kind="target",
        subject=f"{event.dataset.name}: which column should be predicted?",
        body="\n\n".join(filter(None, (in_markdown(f"{size} {proposal}"), markdown_table(known.first_rows, guess)))),
        fields={
            "type": "object",
            "properties": {"target_column_name": target_field, "task_type": task_field},
            "required": ["target_column_name"],
        },
    )


def _proposal(profile: Profile, known: Known) -> tuple[str, TaskKind, str]:
    """Target, task and why that target; raises what `choose` raises."""
    target, why = choose_target(profile, known.wishes, known.defaults)
    column = existing_column(profile, target)
    return target, choose_task(known.wishes, known.defaults, column, profile.row_count)[0], why


def _after_bias(event: Event, known: Known) -> Outcome:
    reported, choices = cast(BiasReported, event), known.choices
    budget = choices.time_budget if choices else known.wishes.time_budget or known.defaults.time_budget or "60"
    target = reported.target_column_name or (choices.target if choices else None)
    task = published_task(reported.task_type) or (
        choices.task.published if choices and choices.target == target else None
    )
    trigger = AutomlTrigger(
        dataset_id=reported.dataset_id,
        user_id=reported.user_id,
        timestamp=known.timestamp,
        target_column_name=target,
        task_type=task,
        time_budget=budget,
    )
    answered = choices is not None and choices.mitigation is not None
    if known.asks("bias") and not answered:
        return _ask_about_bias(trigger, known)
    kept = tuple(name for name in known.leaks if choices is None or name not in choices.drop)
    return Trigger(trigger, notice=_leak_notice(trigger, kept, known.bias_link) if kept else None)


def _leak_notice(trigger: AutomlTrigger, leaks: tuple[str, ...], link: str | None) -> Notice:
    one = len(leaks) == 1
    columns = in_markdown(list_text([f"“{name}”" for name in leaks]))
    target = in_markdown(f"“{trigger.target_column_name}”")
    it_is = "it is" if one else "they are"
    return Notice(
        subject=f"{trigger.dataset_id}: {'a column gives' if one else 'columns give'} the target away",
        body=f"{columns} almost {'says' if one else 'say'} {target} with no help from others. If {it_is} known "
        "only afterwards, the model that is trained now is worth nothing: change the pipeline and train without, by "
        "“Columns to train without” on its page or "
        f"`mlpipe again {trigger.dataset_id} --drop …`.",
        severity="warning",
        link=link,
    )


def _ask_about_bias(trigger: AutomlTrigger, known: Known) -> Ask:
    names = _comparable(known.profile, trigger.target_column_name)
    mitigation, proposal, default = _mitigation_field(known)
    offered = [choice for choice in AFTER_BIAS if mitigation or choice != MITIGATE]
    decision: dict[str, Any] = {"type": "string", "title": "What now?", "enum": offered, "default": default}
    sensitive: dict[str, Any] = {
        "type": "array",
        "title": f"Which columns are sensitive, for “{OTHER_SENSITIVE}”",
        "items": {"type": "string", "enum": names},
    }
    others = [name for name in known.profile.names if name != trigger.target_column_name] if known.profile else []
    suspects = f"The report warns of: {', '.join(known.leaks)}." if known.leaks else "The report warns of none."
    drop: dict[str, Any] = {
        "type": "array",
        "title": "Columns to train without",
        "description": f"Those that are known only when the outcome is. {suspects}",
        "items": {"type": "string", "enum": others},
    }
    found = "\n".join(f"- {in_markdown(line)}" for line in known.findings) or "Read the bias report before you decide."
    return Ask(
        kind="bias",
        subject=f"{trigger.dataset_id}: {_BIAS_QUESTIONS[known.unmeasured]}",
        body=f"A model is trained next. What the bias report says:\n\n{found}{proposal}",
        fields={
            "type": "object",
            "properties": {"decision": decision, **mitigation, "sensitive_features": sensitive, "drop": drop},
            "required": ["decision"],
        },
        about=trigger.model_dump(mode="json"),
    )


_BIAS_QUESTIONS = {False: "go on after the bias report?", True: "which columns are about people?"}


def _comparable(profile: Profile | None, target: str | None) -> list[str]:
    """The columns whose groups could be compared."""
    if profile is None:
        return []
    return [
        column.name
        for column in profile.columns
        if column.name != target and not column.personal and column.kind not in UNSUITABLE_KINDS
    ]


def _mitigation_field(known: Known) -> tuple[dict[str, Any], str, str]:
    """The field for a method, the proposal in words, and the decision suggested; none without sensitive columns."""
    choices = known.choices
    if choices is None or not choices.sensitive:
        return {}, "", PROCEED
    methods = fitting(choices.task)
    wish = known.wishes.mitigation or known.defaults.mitigation
    wished = next((method for method in methods if method == wish), methods[0])
    field = {
        "type": "string",
        "title": f"How, for “{MITIGATE}”",
        "description": "; ".join(f"{method.value}: {EXPLAINED[method]}" for method in methods) + ".",
        "enum": [method.value for method in methods],
        "default": wished.value,
    }
    why = "as you asked" if wished == wish else "the mildest method that fits"
    proposal = f"\n\nAgainst it we would use {wished.value} ({why}): {EXPLAINED[wished]}."
    return {"mitigation": field}, proposal, PROCEED if wish in (None, NO_MITIGATION) else MITIGATE


def _after_model(event: Event, known: Known) -> Outcome:
    uploaded, choices = cast(ModelUploaded, event), known.choices
    if uploaded.dataset_id is None:
        return Notice(
            subject=f"Model {uploaded.model_id} {uploaded.version} is stored",
            body="It names no dataset, so it is not explained. Upload it again with `training_dataset`.",
            severity="warning",
        )
    level = (choices.level if choices else None) or known.wishes.xai_level or known.defaults.xai_level
    trigger = XaiTrigger(
        user_id=uploaded.user_id,
        dataset_id=uploaded.dataset_id,
        model_id=uploaded.model_id,
        level=cast(Any, level),
        timestamp=known.timestamp,
        version=uploaded.version,
    )
    return _ask_about_explanation(trigger) if known.asks("explain") else Trigger(trigger)


def _ask_about_explanation(trigger: XaiTrigger) -> Ask:
    levels = [level.value for level in Level]
    return Ask(
        kind="explain",
        subject=f"{trigger.dataset_id}: do you want explanations?",
        body=f"{trigger.model_id} {trigger.version} is trained. Explanations say what its predictions rest on.",
        fields={
            "type": "object",
            "properties": {
                "level": {
                    "type": "string",
                    "title": "For which reader?",
                    "enum": [*levels, NO_EXPLANATION],
                    "default": trigger.level.value,
                }
            },
            "required": ["level"],
        },
        about=trigger.model_dump(mode="json"),
    )


def decide_answer(
    kind: str, about: Mapping[str, Any], answer: Mapping[str, Any], owner: tuple[str, str], known: Known
) -> Outcome:
    """What follows from an answer; `owner` is dataset id and user id, `about` what the question was about.

    Raises
    ------
    UserError
        What was chosen does not fit the table.
    """
    return _ANSWERS[kind](about, answer, owner, known)


def _answered_target(
    _about: Mapping[str, Any], answer: Mapping[str, Any], owner: tuple[str, str], known: Known
) -> Outcome:
    said = {name: value for name, value in answer.items() if value is not None}
    return _chosen(known.wishes.model_copy(update=said), owner, known)


def _chosen(wishes: Wishes, owner: tuple[str, str], known: Known, mitigated: bool = False) -> Trigger:
    """The bias stage with these wishes; `mitigated`: the person has just said how."""
    if known.profile is None:
        raise RuntimeError(f"a question on {owner[0]} was asked before its table was read")
    choices = keeping_reasons(known.choices, choose(known.profile, wishes, known.defaults, known.budget_unit))
    if known.nobody_answered:
        said = choose(known.profile, known.wishes, known.defaults, known.budget_unit).reasons
        reasons = tuple(why if why in said else why.replace(ASKED, SUGGESTED) for why in choices.reasons)
        choices = choices.model_copy(update={"reasons": reasons})
    return bias_trigger(*owner, choices if mitigated else _before_question(choices, known), known)


def _answered_bias(
    about: Mapping[str, Any], answer: Mapping[str, Any], owner: tuple[str, str], known: Known
) -> Outcome:
    if answer["decision"] == STOP:
        return Stop(STOPPED)
    drop = tuple(answer["drop"]) if answer.get("drop") else None
    if answer["decision"] == MITIGATE:
        changes = Wishes(mitigation=answer.get("mitigation") or ANY_FITTING, drop=drop)
        return _chosen(revised(known.wishes, known.choices, changes), owner, known, mitigated=True)
    if answer["decision"] == OTHER_SENSITIVE:
        columns = tuple(answer.get("sensitive_features") or ())
        if not columns:
            raise UserError("“sensitive_features” needs an answer: name the other sensitive columns.")
        changes = Wishes(sensitive_features=columns, drop=drop)
        return _chosen(revised(known.wishes, known.choices, changes), owner, known)
    trigger = AutomlTrigger.model_validate({**about, "timestamp": known.timestamp})
    return Trigger(trigger, _training_without(drop, trigger, known) if drop else None)


def _training_without(drop: tuple[str, ...], trigger: AutomlTrigger, known: Known) -> Choices:
    """The choices of the pipeline with the columns that a person wants left out; raises UserError."""
    if known.profile is None:
        raise UserError("The columns of this table are not known here, so none can be left out.")
    changes = Wishes(drop=drop, target_column_name=trigger.target_column_name)
    wishes = revised(known.wishes, known.choices, changes)
    return keeping_reasons(known.choices, choose(known.profile, wishes, known.defaults, known.budget_unit))


def _answered_explain(
    about: Mapping[str, Any], answer: Mapping[str, Any], _owner: tuple[str, str], known: Known
) -> Outcome:
    if answer["level"] == NO_EXPLANATION:
        return Stop(UNEXPLAINED)
    return Trigger(XaiTrigger.model_validate({**about, "timestamp": known.timestamp, "level": answer["level"]}))


_ANSWERS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any], tuple[str, str], Known], Outcome]] = {
    "target": _answered_target,
    "bias": _answered_bias,
    "explain": _answered_explain,
}
"""Kind of question to what follows from its answer."""


def _after_explanation(event: Event, known: Known) -> Outcome:
    reported = cast(XaiReported, event)
    what = REPORT_NAMES[reported.report_type]
    return Notice(
        subject=f"{reported.dataset_id}: the explanation of your {what} is ready",
        body=f"Written for the level {reported.level.value}.",
        link=known.view_link,
    )


_RULES: Mapping[type[Event], Callable[[Event, Known], Outcome]] = {
    DatasetUploaded: _after_upload,
    BiasReported: _after_bias,
    ModelUploaded: _after_model,
    XaiReported: _after_explanation,
}
"""The whole flow as one table: event to what follows."""
