"""Stage `xai`: explain a model and its data, render the pages for every level, announce those that were asked for."""

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from mlpipe_dagster.automl import artefacts
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.bias.sensitive import find_sensitive
from mlpipe_dagster.choices import settle
from mlpipe_dagster.errors import ModelError, UnknownThing, UserError
from mlpipe_dagster.reports.explanations import render_data_explanation, render_model_explanation
from mlpipe_dagster.reports.plots import factors_plot
from mlpipe_dagster.reports.texts import texts
from mlpipe_dagster.reports.wording import list_text, percent_text, written_in
from mlpipe_dagster.stages.explanation_checks import explanation_checks
from mlpipe_dagster.stages.outcome import Say, StageOutcome
from mlpipe_dagster.stages.table import Table, open_table, store_file, store_plot
from mlpipe_dagster.tables.load import load
from mlpipe_dagster.vocabulary import CLASSIFICATION_ALIASES, Level, ReportType, Stage, TaskKind
from mlpipe_dagster.warehouse import ledger, links, models, pipelines, reports, results
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.results import NewExplanation
from mlpipe_dagster.warehouse.schema import ModelFileRow, ModelRow
from mlpipe_dagster.warehouse.warehouse import Warehouse
from mlpipe_dagster.xai.data_explanation import DataExplanation
from mlpipe_dagster.xai.explain import explain_model
from mlpipe_dagster.xai.explain_table import explain_data
from mlpipe_dagster.xai.explanation import ModelExplanation
from mlpipe_dagster.xai.outside.apart import explain_apart
from mlpipe_dagster.xai.outside.given import ONNX, SKOPS, Described

FACTORS_SHOWN = 10


def explain(warehouse: Warehouse, claim: Claim, say: Say) -> StageOutcome:
    """Explain, store and announce. Of a model that cannot be explained the data still is, before the stage fails.

    Raises
    ------
    UnknownThing, ModelError
        There is no such model, or it cannot be loaded safely.
    StageLost
        The work is no longer this run's.
    """
    row = _model_row(warehouse, claim)
    say(f"Explaining {row.model_id} {row.version}.")
    with open_table(warehouse, claim) as table, tempfile.TemporaryDirectory(prefix="mlpipe-") as name:
        folder, level = Path(name), _level(warehouse, claim, table)
        try:
            about_model, test_rows = _explained(warehouse, claim, table, row, folder)
        except ModelError as refusal:
            say(f"{refusal} The data are explained all the same.")
            pages = _render_pages(warehouse, claim, row, None, _about_data(warehouse, claim, table, row), folder)
            results.save_data_explanation_alone(warehouse, claim, row, pages, level, refusal)
            raise
        about_data = _about_data(warehouse, claim, table, row, about_model, test_rows)
        pages = _render_pages(warehouse, claim, row, about_model, about_data, folder)
    results.save_explanations(warehouse, claim, row, pages, level)
    store_plot(warehouse, "xai_report", table.version, factors_plot(about_model))
    return _outcome(warehouse, table, row, about_model, level, pages)


def _model_row(warehouse: Warehouse, claim: Claim) -> ModelRow:
    model_id, version = claim.payload.get("model_id"), claim.payload.get("version")
    with warehouse.reading() as session:
        if model_id:
            row = models.get_model(session, claim.owner.user_id, model_id, version)
        else:
            row = pipelines.latest_model_of(session, claim.owner)
    if row is None:
        which = f"model {model_id} {version or ''}".strip() if model_id else f"model of {claim.owner.dataset_id}"
        raise UnknownThing(f"There is no {which} of {claim.owner.user_id}. Train one first.")
    return row


def _explained(
    warehouse: Warehouse, claim: Claim, table: Table, row: ModelRow, folder: Path
) -> tuple[ModelExplanation, tuple[int, ...]]:
    """The explanation of our model, or of an ONNX or skops file from outside; raises ModelError for any other.

    With it the positions of the test rows, where rows were held out.
    """
    with warehouse.reading() as session:
        files = models.model_files(session, row)
    hidden = tuple(column.name for column in table.profile.columns if column.personal)
    sensitive = {*_sensitive(table), *(found.column for found in find_sensitive(table.profile))}
    if row.run_id and artefacts.MANIFEST_FILE in {file.filename for file in files}:
        for file in files:
            _copy(warehouse, file, folder)
        model = artefacts.load(folder)
        return explain_model(model, load(table.parquet), hide=hidden, keep=sensitive), model.test_rows
    file = _safe_file(warehouse, row, files)
    target, task = _aim(warehouse, claim, table, row)
    described = Described(
        target=target,
        task=task,
        algorithm=row.algorithm or row.framework,
        sensitive=tuple(name for name in _sensitive(table) if name != target),
        threads=warehouse.settings.threads,
        most_bytes=warehouse.settings.max_foreign_model_bytes,
    )
    return explain_apart(_copy(warehouse, file, folder), table.parquet, described, hidden), ()


def _safe_file(warehouse: Warehouse, row: ModelRow, files: Sequence[ModelFileRow]) -> ModelFileRow:
    """The ONNX or skops file of a model from outside, the primary one first. Nothing else is ever loaded."""
    safe = [file for file in files if Path(file.filename).suffix.lower() in (ONNX, SKOPS)]
    if not safe:
        raise ModelError(f"The model {row.model_id} {row.version} cannot be explained safely: upload ONNX or skops.")
    most = warehouse.settings.max_foreign_model_bytes
    if safe[0].file_size > most:
        raise ModelError(
            f"{safe[0].filename} has {safe[0].file_size} bytes; at most {most} are loaded. Upload a smaller model, or "
            "raise MLPIPE_MAX_FOREIGN_MODEL_BYTES."
        )
    return safe[0]


def _copy(warehouse: Warehouse, file: ModelFileRow, folder: Path) -> Path:
    place = folder / Path(file.filename).name
    with warehouse.objects.open(file.file_path) as content, place.open("wb") as copy:
        shutil.copyfileobj(content, copy)
    return place


def _aim(warehouse: Warehouse, claim: Claim, table: Table, row: ModelRow) -> tuple[str, TaskKind]:
    """What a model from outside predicts: as its training was asked, else as was settled, else inferred."""
    with warehouse.reading() as session:
        asked = ledger.latest_payload(session, Stage.AUTOML, claim.owner)
    known = row.model_type if row.model_type in {*CLASSIFICATION_ALIASES, TaskKind.REGRESSION.value} else None
    return settle(table.profile, asked.get("target_column_name"), asked.get("task_type") or known, table.choices)


def _sensitive(table: Table) -> tuple[str, ...]:
    return table.choices.sensitive if table.choices else ()


def _about_data(
    warehouse: Warehouse,
    claim: Claim,
    table: Table,
    row: ModelRow,
    about_model: ModelExplanation | None = None,
    test_rows: Sequence[int] = (),
) -> DataExplanation:
    target: str | None = None
    task: TaskKind | None = None
    if about_model:
        target, task = about_model.target, about_model.task
    else:
        with suppress(UserError):  # a table may be explained without a target
            target, task = _aim(warehouse, claim, table, row)
    return explain_data(
        table.profile,
        target=target,
        task=task,
        bias=_bias_report(warehouse, claim),
        table=load(table.parquet),
        test_rows=test_rows,
    )


def _level(warehouse: Warehouse, claim: Claim, table: Table) -> Level:
    said = claim.payload.get("level")
    if said:
        return Level(said)
    return table.choices.level if table.choices else warehouse.settings.default_xai_level


def _bias_report(warehouse: Warehouse, claim: Claim) -> BiasReport | None:
    """Our own bias report of this version; a foreign one has a shape of its own."""
    with warehouse.reading() as session:
        row = reports.get_bias_report(session, claim.owner)
    return BiasReport.model_validate(row.report) if row and row.run_id else None


def _render_pages(
    warehouse: Warehouse,
    claim: Claim,
    row: ModelRow,
    about_model: ModelExplanation | None,
    about_data: DataExplanation,
    folder: Path,
) -> list[NewExplanation]:
    language, pages = warehouse.settings.report_language, []
    for level in Level:
        for report_type in ReportType if about_model else (ReportType.DATA,):
            page_links = _page_links(warehouse, claim, row, report_type)
            if about_model and report_type is ReportType.MODEL:
                html = render_model_explanation(
                    about_model, level, page_links, language=language, again=_command(row, about_model)
                )
            else:
                html = render_data_explanation(about_data, level, page_links, language=language)
            file = folder / f"{report_type.value}_{level.value}.html"
            file.write_text(html, encoding="utf-8")
            place = ("explanations", claim.owner.user_id, row.model_id, f"row-{claim.row_id}-{claim.run_id}")
            stored = store_file(warehouse, file, *place, content_type="text/html")
            pages.append(NewExplanation(report_type, level, stored))
    return pages


def _command(row: ModelRow, explanation: ModelExplanation) -> str:
    """What makes the numbers again."""
    whose = f"mlpipe explain {row.model_id} --user-id {row.user_id} --version {row.number}"
    return f"{whose} --seed {explanation.method.seed} --output FOLDER"


def _page_links(warehouse: Warehouse, claim: Claim, row: ModelRow, report_type: ReportType) -> dict[str, str]:
    settings, owner = warehouse.settings, claim.owner
    other = ReportType.DATA if report_type is ReportType.MODEL else ReportType.MODEL

    def page(kind: ReportType, level: Level) -> str:
        return links.explanation_link(settings, owner.user_id, owner.dataset_id, row.model_id, kind, level)

    with written_in(settings.report_language):
        named = texts().plain
        return {level.value: page(report_type, level) for level in Level} | {
            named(f"page.{other.value}"): page(other, Level.BEGINNER),
            named("page.bias_report"): links.bias_view_link(settings, owner.user_id, owner.dataset_id),
            **(
                {named("page.what_if"): links.what_if_link(settings, owner.user_id, row.model_id)} if row.run_id else {}
            ),
            named("page.pipeline"): links.pipeline_link(settings, claim.partition_key, owner.user_id),
            named("page.run"): links.run_link(settings, claim.run_id),
            named("page.lineage"): links.asset_partition_link(settings, "xai_report", claim.partition_key),
        }


def _outcome(
    warehouse: Warehouse,
    table: Table,
    row: ModelRow,
    explanation: ModelExplanation,
    level: Level,
    pages: Sequence[NewExplanation],
) -> StageOutcome:
    settings, version = warehouse.settings, table.version
    factors = explanation.columns[:FACTORS_SHOWN]
    return StageOutcome(
        summary=(
            f"What matters most to the model's predictions of “{explanation.target}”: "
            f"{list_text([factor.name for factor in factors[:3]])}. "
            f"The explanations are written for the level {level.value}; their pages lead to the other levels."
        ),
        data_version=f"{version.file_hash}/{row.model_id}/{row.version}/{level.value}",
        numbers={
            "model": f"{row.model_id} {row.version}",
            "level": level.value,
            "rows explained": explanation.method.explained_rows,
            "additivity error": explanation.method.additivity_error,
            **({"surrogate fidelity": explanation.surrogate.fidelity.value} if explanation.surrogate else {}),
        },
        links={
            f"{report_type.value.replace('_', ' ')}, {shown.value}": links.explanation_link(
                settings, version.user_id, version.dataset_id, row.model_id, report_type, shown
            )
            for report_type in ReportType
            for shown in Level
        },
        checks=explanation_checks(explanation, max(page.file.size for page in pages)),
        table=tuple(
            {"column": factor.name, "share of influence": percent_text(factor.share), "mean |SHAP|": factor.shap}
            for factor in factors
        ),
        table_name="columns by influence",
    )
