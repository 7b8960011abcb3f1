"""Stage `automl`: train within the budget, save without pickle, store and announce the model."""

import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from mlpipe_dagster.automl.apart import Budget, train_apart
from mlpipe_dagster.automl.artefacts import LEADERBOARD_FILE
from mlpipe_dagster.automl.engines.known import KnownEngine, enough_seconds, known_engine, require_installed
from mlpipe_dagster.automl.fairness.constraint import Constraint, settle_constraint
from mlpipe_dagster.automl.fairness.report import Disparity
from mlpipe_dagster.automl.leaderboard import trial_row
from mlpipe_dagster.automl.model import DataSource, TrainedModel, TrainingSpec, Trial
from mlpipe_dagster.automl.plots import score_plot
from mlpipe_dagster.bias.mitigation.after_training import with_model
from mlpipe_dagster.bias.mitigation.report import TransformationReport
from mlpipe_dagster.errors import UnknownThing
from mlpipe_dagster.reports.wording import number_text, percent_text
from mlpipe_dagster.stages.mitigation import transformation_of
from mlpipe_dagster.stages.outcome import Check, Say, StageOutcome
from mlpipe_dagster.stages.table import Table, open_table, store_file, store_plot
from mlpipe_dagster.vocabulary import TaskKind, parse_time_budget
from mlpipe_dagster.warehouse import links, models, results
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.results import NewModel, StoredFile
from mlpipe_dagster.warehouse.schema import ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse

NEEDED_APART = ("mlpipe_dagster.automl.train", "mlpipe_dagster.automl.onnx_model.export", "skops.io")
"""What the training imports in its own process."""
CONTENT_TYPES = {
    ".json": "application/json",
    ".md": "text/markdown",
    ".py": "text/x-python",
    ".txt": "text/plain",
    ".zip": "application/zip",
}
LEADERBOARD_ROWS = 10
MOST_KEPT = 12
"""Trials of an earlier search that are tried first by one that goes on from it."""
_TRIALS: TypeAdapter[list[Trial]] = TypeAdapter(list[Trial])
CLEAR_SHOWN = 5
SIMPLE_METHODS = {
    "linear": "a plain linear model",
    "histogram gradient boosting": "gradient boosting with its usual settings",
    "constant": "the same answer for every row",
}


def train_model(warehouse: Warehouse, claim: Claim, say: Say) -> StageOutcome:
    """Train, store and announce a model.

    Raises
    ------
    TargetError, TaskError, BudgetError, EngineError, ModelError
        The table cannot be trained on as asked; the message says what to do.
    StageLost
        The work is no longer this run's.
    """
    settings = warehouse.settings
    words = str(claim.payload.get("time_budget") or settings.default_time_budget)
    with open_table(warehouse, claim) as table, tempfile.TemporaryDirectory(prefix="mlpipe-") as folder:
        target, task = table.settled(claim)
        engine = _engine(warehouse, claim, table)
        asked = parse_time_budget(words, settings.time_budget_unit)
        seconds = enough_seconds(engine, asked, settings.short_budget)
        done = transformation_of(warehouse, claim, table, target, task)
        spec = TrainingSpec(
            target=target,
            task=task,
            sensitive=table.sensitive(target),
            drop=tuple(dict.fromkeys((*table.dropped(target), *(done.not_read if done else ())))),
            mitigation=done.method if done else None,
            positive=table.positive(target, task),
            constraint=_constraint(claim, table, target, task, engine),
            engine=engine.word,
            split=settings.split,
            threads=settings.threads,
            **_continued(warehouse, claim, table),
            data=DataSource(
                dataset_id=table.version.dataset_id,
                version=table.version.version,
                file_hash=table.version.file_hash,
                rows=table.profile.row_count,
            ),
        )
        opening = time.monotonic() - claim.taken_at
        budget = Budget(claim.taken_at, seconds, opening, settings.first_model_grace)
        trained = train_apart(
            table.parquet, spec, budget, Path(folder), lambda trial: say(_line(trial)), settings.training_memory_bytes
        )
        row = _store(warehouse, claim, table, trained.model, trained.files, done)
    store_plot(warehouse, "model", table.version, score_plot(trained.model))
    return _outcome(warehouse, table, trained.model, row, words)


def _engine(warehouse: Warehouse, claim: Claim, table: Table) -> KnownEngine:
    """Who trains: as this run was asked, else as was settled; raises EngineError where it is unknown or not here."""
    settled = table.choices.engine if table.choices else warehouse.settings.default_engine
    engine = known_engine(str(claim.payload.get("engine") or settled))
    require_installed(engine)
    return engine


def _constraint(claim: Claim, table: Table, target: str, task: TaskKind, engine: KnownEngine) -> Constraint | None:
    """As this run was asked, else as was settled for this target; raises UserError for what cannot be held."""
    settled = table.choices.fairness if table.choices and table.choices.target == target else None
    asked = claim.payload.get("fairness")
    return settle_constraint(str(asked) if asked else settled, task, table.sensitive(target), engine)


def _continued(warehouse: Warehouse, claim: Claim, table: Table) -> dict[str, Any]:
    """What a search that goes on from another model's has of it; raises UnknownThing where that is not there."""
    version = table.choices.continue_from if table.choices else None
    if version is None:
        return {}
    with warehouse.reading() as session:
        model = models.model_of(session, claim.owner.user_id, _model_id(claim), version)
        files = [file for file in models.model_files(session, model) if file.filename == LEADERBOARD_FILE]
    if not files:
        raise UnknownThing(f"{model.model_id} {version} has no trials to go on from: it was not trained here.")
    with warehouse.objects.local(files[0].file_path) as path:
        trials = _TRIALS.validate_json(path.read_bytes())
    searched = [trial for trial in trials if not trial.baseline and not trial.note.startswith("abandoned")]
    return {"continues": model.version, "kept": tuple(searched[:MOST_KEPT])}


def _model_id(claim: Claim) -> str:
    return f"automl_{claim.owner.dataset_id}"


def _line(trial: Trial) -> str:
    score = "" if trial.score is None else f"validation score {trial.score:.4f}, "
    return f"{trial.algorithm}: {score}loss {trial.loss:.4f} after {trial.finished_at:.1f} s"


def _store(
    warehouse: Warehouse,
    claim: Claim,
    table: Table,
    model: TrainedModel,
    files: tuple[Path, ...],
    done: TransformationReport | None,
) -> ModelRow:
    model_id = _model_id(claim)
    place = ("models", claim.owner.user_id, model_id, f"row-{claim.row_id}-{claim.run_id}")
    stored = tuple(_store_file(warehouse, file, place) for file in files)
    task: TaskKind = model.spec.task
    new = NewModel(
        model_id=model_id,
        name=f"{table.version.name}: {model.spec.target}",
        description=_description(model),
        framework=model.framework,
        model_type=task.published,
        algorithm=model.algorithm,
        files=stored,
        training_accuracy=model.training_score.value,
        validation_accuracy=model.validation_score.value,
        test_accuracy=model.test_score.value,
        custom_metadata={
            "target": model.spec.target,
            "task": task.value,
            "positive_class": model.positive_class,
            "baseline_test_accuracy": model.baseline_score.value,
            "beats_baseline": model.beats_baseline,
            "metrics": {name: estimate.model_dump() for name, estimate in model.metrics.items()},
            "fairness": {"clear": [one.model_dump(mode="json") for one in model.fairness.clear]},
            "mitigation": model.spec.mitigation,
            "frontier": model.frontier.model_dump(mode="json") if model.frontier else None,
            "continues": model.spec.continues,
            "notes": list(model.notes),
        },
    )
    if done is None:
        return results.save_model(warehouse, claim, new, task)
    return results.save_model(
        warehouse, claim, new, task, lambda name: with_model(done, model.fairness, name).model_dump(mode="json")
    )


def _description(model: TrainedModel) -> str:
    if model.is_constant:
        return f"A constant guess of {model.spec.target}, no model: mlpipe found nothing better."
    return f"{model.algorithm} predicting {model.spec.target}, trained by mlpipe."


def _store_file(warehouse: Warehouse, file: Path, place: tuple[str, ...]) -> StoredFile:
    content_type = CONTENT_TYPES.get(file.suffix, "application/octet-stream")
    return store_file(warehouse, file, *place, content_type=content_type, is_primary=file.suffix == ".skops")


def _outcome(warehouse: Warehouse, table: Table, model: TrainedModel, row: ModelRow, budget: str) -> StageOutcome:
    name, result, verdict = model.metric_name, _result(model), _verdict(model)
    seconds = parse_time_budget(budget, warehouse.settings.time_budget_unit)
    return StageOutcome(
        summary=f"{result}\n{verdict}",
        data_version=f"{table.version.file_hash}/{row.model_id}/{row.version}",
        numbers={
            f"test {name}": model.test_score.value,
            f"baseline test {name}": model.baseline_score.value,
            f"validation {name}": model.validation_score.value,
            f"training {name}": model.training_score.value,
            "algorithm": model.algorithm,
            "engine": model.spec.engine,
            "mitigation": model.spec.mitigation.value if model.spec.mitigation else "none",
            "fairness constraint": _trade(model),
            "trials": len(model.leaderboard),
            "time budget": f"{seconds:g} s",
            **_speed(model),
            "model version": row.version,
        },
        links={"model": links.model_link(warehouse.settings, row.user_id, row.model_id)},
        checks=(Check("beats_baseline", model.beats_baseline, f"{result} {verdict}"), _groups_check(model)),
        table=tuple(trial_row(trial, model) for trial in model.leaderboard[:LEADERBOARD_ROWS]),
        table_name="leaderboard",
    )


def _trade(model: TrainedModel) -> str:
    """What the fairness constraint came to on the test rows: without it → with it."""
    constraint, frontier = model.spec.constraint, model.frontier
    if constraint is None:
        return "none"
    if frontier is None or frontier.test_without is None or frontier.test_with is None:
        return f"{constraint.title}: not held, see the notes"
    before, after = frontier.test_without, frontier.test_with
    apart = f"{number_text(before.difference.value)} → {number_text(after.difference.value)}"
    return (
        f"{constraint.title}: difference {apart}, "
        f"right {percent_text(before.accuracy.value)} → {percent_text(after.accuracy.value)} (test rows)"
    )


def _speed(model: TrainedModel) -> dict[str, float]:
    if model.speed is None:
        return {}
    return {"ms for one row": model.speed.one_row, f"ms for {model.speed.rows:,} rows": model.speed.many_rows}


def _result(model: TrainedModel) -> str:
    """What the model is and how good, in a sentence or two."""
    ends = f"{percent_text(model.test_score.low)} to {percent_text(model.test_score.high)}"
    value = percent_text(model.test_score.value)
    quality = (
        f"it explains {value} of the differences between the values (R²)"
        if model.spec.task is TaskKind.REGRESSION
        else f"it is right for {value}"
    )
    rows = f"On {len(model.test_rows):,} test rows it had never seen"
    what = f"The model ({model.algorithm}) predicts “{model.spec.target}”."
    if model.is_constant:
        what = f"For “{model.spec.target}” there is no model but a constant guess: the same answer for every row."
    return f"{what} {rows}, {quality}; the 95% interval is {ends}."


def _verdict(model: TrainedModel) -> str:
    """Whether the model is worth more than a simple method, for somebody who meets the question for the first time."""
    if model.is_constant:
        return (
            "Nothing that was tried predicts better than that, beyond chance. Add rows, or columns that say more about "
            "the target, or allow more time."
        )
    if model.frontier and model.frontier.chosen is not model.frontier.unconstrained:
        return f"It is held to a fairness constraint, which costs right answers. {_trade(model)}."
    rival = SIMPLE_METHODS.get(model.baseline_algorithm, model.baseline_algorithm)
    reached = f"the best of them, {rival}, reaches {percent_text(model.baseline_score.value)}"
    if model.beats_baseline:
        if model.is_baseline:
            return f"It is a simple method itself: nothing more elaborate was clearly better. Of the others, {reached}."
        near = model.test_score.low <= model.baseline_score.value
        close = " The two are close: on other rows the order could change." if near else ""
        return f"Judged by {model.loss_name}, it does better than simple methods; {reached}.{close}"
    return (
        f"It is not clearly better than simple methods; {reached}. "
        "This is common when there are few rows, when the columns say little about the target, or when the time was "
        "short. Read the explanation as what this model learned, and do not decide about single cases with it."
    )


def _groups_check(model: TrainedModel) -> Check:
    clear, looked_at = model.fairness.clear, len(model.fairness.disparities)
    if not model.spec.sensitive:
        text = "No sensitive column was named or found: groups were not compared."
    elif clear:
        more = f" {len(clear) - CLEAR_SHOWN} more are in the model card." if len(clear) > CLEAR_SHOWN else ""
        text = f"Clear differences on the test rows: {'; '.join(map(_disparity, clear[:CLEAR_SHOWN]))}.{more}"
    else:
        text = f"None of {looked_at} comparisons between groups on the test rows shows a clear difference."
    return Check("groups_treated_alike", not clear, text)


def _disparity(one: Disparity) -> str:
    about = f" of “{one.outcome}”" if one.outcome is not None else ""
    ends = f"{number_text(one.value or 0.0)} ({number_text(one.low or 0.0)} to {number_text(one.high or 0.0)})"
    return f"{one.column}, “{one.group}” against “{one.reference}”: {one.measure}{about} {ends}, equal is {one.equal:g}"
