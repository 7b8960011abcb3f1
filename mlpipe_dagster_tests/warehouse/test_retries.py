"""Further tries and deadlines: what passes and what stays, how long to wait, how often, and what is said at the end."""

import sqlite3
from concurrent.futures.process import BrokenProcessPool
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from sqlalchemy.exc import OperationalError, ProgrammingError

from mlpipe_dagster import clock
from mlpipe_dagster.errors import BrokerUnavailable, MlpipeError, StageLost, TargetError
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.settings import Settings, settings
from mlpipe_dagster.vocabulary import Level, ReportType, Role, Stage, TaskKind
from mlpipe_dagster.warehouse import (
    answers,
    inbox,
    interventions,
    ledger,
    objects,
    reconcile,
    results,
    retries,
    trouble,
)
from mlpipe_dagster.warehouse.catalogue import Catalogue
from mlpipe_dagster.warehouse.intake import take_in
from mlpipe_dagster.warehouse.ledger import Arrived, Claim
from mlpipe_dagster.warehouse.reconcile import RunSeen, RunState, Wanted
from mlpipe_dagster.warehouse.results import NewExplanation, NewModel, StoredFile
from mlpipe_dagster.warehouse.schema import LedgerRow, Pipeline
from mlpipe_dagster.warehouse.warehouse import Warehouse, open_warehouse, set_player
from mlpipe_dagster_tests.warehouse import scenes

DIED = RunSeen(RunState.DIED, "The process of this run was killed by signal 9.")


@pytest.fixture
def warehouse(home: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Gives up after three tries."""
    monkeypatch.setenv("MLPIPE_MAX_ATTEMPTS", "3")
    settings.cache_clear()
    return open_warehouse()


def trigger(ce_id: str = "t1") -> Arrived:
    return scenes.arrived(scenes.bias_trigger(), "bias-trigger-events", ce_id=ce_id, version="v1")


def the_row(warehouse: Warehouse, stage: str = "bias") -> LedgerRow:
    with warehouse.reading() as session:
        return session.query(LedgerRow).filter_by(stage=stage).one()


def change(warehouse: Warehouse, **values: Any) -> None:
    """Change the one row of the bias stage."""
    with warehouse.transaction() as session:
        session.query(LedgerRow).filter_by(stage="bias").update(values)


def status(warehouse: Warehouse) -> str:
    with warehouse.reading() as session:
        return session.query(Pipeline).one().status


@pytest.fixture
def held(warehouse: Warehouse, tmp_path: Path) -> Claim:
    """A bias trigger that run-1 has taken."""
    scenes.upload(warehouse, tmp_path)
    return scenes.claim(warehouse, Stage.BIAS, trigger())


def put_back(warehouse: Warehouse, claim: Claim, reason: str = "The disk is full") -> bool:
    with warehouse.transaction() as session:
        return retries.put_back(session, warehouse.settings, claim, "io", reason)


# --- what passes ---


def s3_error(code: str, http_status: int) -> ClientError:
    response = {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": http_status}}
    return ClientError(response, "PutObject")  # type: ignore[arg-type]


def as_the_objects_raise_it(error: Exception) -> Exception:
    with pytest.raises(objects.ObjectsUnavailable) as caught, objects._plain_errors("bucket", "name"):
        raise error
    return caught.value


def failed_upload(error: ClientError) -> Exception:
    """As boto3's transfer does."""
    try:
        try:
            raise error
        except ClientError as inner:
            raise S3UploadFailedError(f"Failed to upload: {inner}") from inner
    except S3UploadFailedError as outer:
        return outer


def database_error(kind: type[Any], said: str) -> Exception:
    error: Exception = kind("UPDATE ledger SET note='secret'", {}, sqlite3.OperationalError(said))
    return error


@pytest.mark.parametrize(
    "error",
    [
        BrokerUnavailable("Kafka unreachable at nowhere:9092"),
        database_error(OperationalError, "database is locked"),
        database_error(OperationalError, "server closed the connection unexpectedly"),
        ConnectionResetError("reset by peer"),
        TimeoutError("timed out"),
        OSError(28, "No space left on device"),
        BrokenProcessPool("a worker was killed"),
        as_the_objects_raise_it(EndpointConnectionError(endpoint_url="http://nowhere")),
        as_the_objects_raise_it(s3_error("SlowDown", 503)),
        as_the_objects_raise_it(s3_error("InternalError", 500)),
        as_the_objects_raise_it(s3_error("TooManyRequestsException", 400)),
        as_the_objects_raise_it(failed_upload(s3_error("ServiceUnavailable", 503))),
        EndpointConnectionError(endpoint_url="http://nowhere"),
    ],
    ids=repr,
)
def test_what_passes_is_tried_again(error: Exception) -> None:
    assert trouble.is_passing(error)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        KeyError("age"),
        ValueError("Input contains NaN"),
        TargetError("There is no column tarket."),
        PermissionError(13, "Permission denied"),
        FileNotFoundError(2, "No such file"),
        database_error(OperationalError, "no such column: ledger.retry_at"),
        database_error(ProgrammingError, "syntax error"),
        as_the_objects_raise_it(s3_error("AccessDenied", 403)),
        as_the_objects_raise_it(s3_error("NoSuchBucket", 404)),
        as_the_objects_raise_it(failed_upload(s3_error("AccessDenied", 403))),
        as_the_objects_raise_it(NoCredentialsError()),
    ],
    ids=repr,
)
def test_what_stays_is_not(error: Exception) -> None:
    assert not trouble.is_passing(error)


def test_a_database_error_is_told_without_its_statement() -> None:
    error = database_error(OperationalError, "database is locked")
    assert trouble.in_words(error) == "OperationalError: database is locked"
    assert trouble.error_type_of(error) == "database"


# --- how long and how often ---


@pytest.mark.parametrize(("failures", "least", "most"), [(1, 1, 2), (2, 2, 4), (3, 4, 8), (6, 30, 60), (4000, 30, 60)])
def test_the_wait_doubles_up_to_a_cap_and_half_of_it_is_chance(failures: int, least: float, most: float) -> None:
    values = Settings()
    waits = {retries.delay(failures, values).total_seconds() for _ in range(200)}
    assert least <= min(waits) < max(waits) <= most
    assert len(waits) > 100


def test_a_row_that_was_put_back_waits_says_why_and_is_asked_for_under_a_new_key(
    warehouse: Warehouse, held: Claim
) -> None:
    assert put_back(warehouse, held, "Kafka unreachable\nat nowhere:9092.")
    row = the_row(warehouse)
    assert (row.state, row.attempt, row.failures) == ("expected", 1, 1)
    assert (row.note or "").startswith("Kafka unreachable at nowhere:9092 (try 2 of 3 from ")
    with warehouse.reading() as session:
        assert reconcile.rows_without_result(session) == [], "it is not due yet"
    change(warehouse, retry_at=clock.now() - timedelta(seconds=1))
    with warehouse.reading() as session:
        (seen,) = reconcile.rows_without_result(session)
    wanted = reconcile.run_again(warehouse, seen, DIED)
    assert wanted is not None and wanted.run_key == f"{row.id}/2"
    assert the_row(warehouse).failures == 1, "the run that put it back is not counted again"
    assert reconcile.run_again(warehouse, seen, DIED) is None, "the other of two sweeps comes too late"


def test_a_run_that_put_its_row_back_can_store_nothing(warehouse: Warehouse, held: Claim) -> None:
    put_back(warehouse, held)
    with pytest.raises(StageLost):
        results.save_bias_report(warehouse, held, {}, "paid", TaskKind.BINARY)
    assert not put_back(warehouse, held)
    assert the_row(warehouse).failures == 1


def test_the_reason_is_seen_until_the_row_is_done(warehouse: Warehouse, held: Claim) -> None:
    put_back(warehouse, held)
    with warehouse.transaction() as session:
        again = ledger.take(session, Stage.BIAS, "t1", "run-2")
    assert again is not None
    row = the_row(warehouse)
    assert (row.note or "").startswith("The disk is full (try 2 of 3")
    assert (row.attempt, row.retry_at) == (2, None)
    results.save_bias_report(warehouse, again, {}, "paid", TaskKind.BINARY)
    assert the_row(warehouse).note is None
    assert len(scenes.outbox_rows(warehouse, "bias.reported")) == 1


def test_a_trigger_that_arrives_again_does_not_shorten_the_wait(warehouse: Warehouse, held: Claim) -> None:
    put_back(warehouse, held)
    again = take_in(warehouse, type(trigger().event), [trigger().record])
    assert again.wanted == [] and "The disk is full" in again.notes[0]


def test_after_the_last_try_it_fails_once_in_words_and_can_be_retried(warehouse: Warehouse, held: Claim) -> None:
    for number in (2, 3):
        assert put_back(warehouse, held, "The disk is full")
        with warehouse.transaction() as session:
            held = ledger.take(session, Stage.BIAS, "t1", f"run-{number}") or held
    assert not put_back(warehouse, held, "The disk is still full")
    (event,) = map(scenes.value_of, scenes.outbox_rows(warehouse, "pipeline.failed"))
    assert (event["error_type"], event["run_id"]) == ("io", "run-3")
    assert event["error_message"] == (
        "Tried 3 times in vain, the last time: The disk is still full. "
        "When that is mended, try again: mlpipe retry loans"
    )
    with warehouse.reading() as session:
        assert len(inbox.list_notifications(session, "ann")) == 1
    assert status(warehouse) == "failed"
    assert interventions.retry_pipeline(warehouse, "loans") is Stage.BIAS
    assert status(warehouse) == "running"


def ask_again(warehouse: Warehouse, seen: RunSeen) -> Wanted | None:
    return reconcile.run_again(warehouse, the_row(warehouse), seen)


def test_runs_that_die_before_they_take_their_row_are_counted_and_named(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLPIPE_RETRY_SECONDS", "0")
    settings.cache_clear()
    warehouse = Warehouse(warehouse.catalogue, warehouse.objects, settings())
    scenes.upload(warehouse, tmp_path)
    with warehouse.transaction() as session:
        ledger.enter(session, warehouse, Stage.BIAS, trigger())
    keys = [wanted.run_key.partition("/")[2] for wanted in (ask_again(warehouse, DIED) for _ in range(3)) if wanted]
    assert keys == ["2", "3"]
    (event,) = map(scenes.value_of, scenes.outbox_rows(warehouse, "pipeline.failed"))
    assert event["error_type"] == "run_died" and "killed by signal 9" in event["error_message"]


def test_a_dead_run_is_tried_again_soon_after_its_end(warehouse: Warehouse, held: Claim) -> None:
    change(warehouse, requested_at=clock.now() - timedelta(minutes=1))
    assert ask_again(warehouse, RunSeen(RunState.DIED, "killed", clock.now() - timedelta(seconds=3))) is not None
    change(warehouse, state="taken", run_id="run-2")
    assert ask_again(warehouse, RunSeen(RunState.DIED, "killed", clock.now())) is None
    assert the_row(warehouse).failures == 2


def test_a_run_that_never_came_is_asked_for_ever_more_rarely_and_given_up_after_the_deadline(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    scenes.upload(warehouse, tmp_path)
    with warehouse.transaction() as session:
        ledger.enter(session, warehouse, Stage.BIAS, trigger())
    nothing = RunSeen(RunState.NONE)
    for number, seconds in ((2, 21), (3, 41), (4, 81)):
        change(warehouse, requested_at=clock.now() - timedelta(seconds=seconds - 3))
        assert ask_again(warehouse, nothing) is None
        change(warehouse, requested_at=clock.now() - timedelta(seconds=seconds))
        wanted = ask_again(warehouse, nothing)
        assert wanted is not None and wanted.run_key.endswith(f"/{number}")
    change(warehouse, requested_at=clock.now() - timedelta(hours=1), deadline=clock.now())
    assert ask_again(warehouse, nothing) is None
    (event,) = map(scenes.value_of, scenes.outbox_rows(warehouse, "pipeline.failed"))
    assert event["error_type"] == "not_started"


def test_a_persons_rerun_has_all_its_tries(warehouse: Warehouse, held: Claim) -> None:
    change(warehouse, state="failed", failures=3)
    with warehouse.transaction() as session:
        assert ledger.take(session, Stage.BIAS, "t1", "run-9", rerun=True) is not None
    assert the_row(warehouse).failures == 0


# --- catalogues of an older mlpipe ---


def test_an_older_catalogue_gets_the_columns_it_lacks(warehouse: Warehouse, held: Claim) -> None:
    with warehouse.transaction() as session:
        session.connection().exec_driver_sql("DROP INDEX ix_ledger_counted")  # it holds a column that goes
        for column in ("requests", "failures", "retry_at", "taken_at"):
            session.connection().exec_driver_sql(f"ALTER TABLE ledger DROP COLUMN {column}")
    Catalogue(warehouse.catalogue.url).create()
    row = the_row(warehouse)
    assert (row.state, row.requests, row.failures, row.retry_at, row.taken_at) == ("taken", 0, 0, None, None)
    results.save_bias_report(warehouse, held, {}, "paid", TaskKind.BINARY)


def test_a_catalogue_that_cannot_be_brought_up_to_date_is_refused_in_words(warehouse: Warehouse) -> None:
    with warehouse.transaction() as session:
        session.connection().exec_driver_sql("ALTER TABLE datasets DROP COLUMN original_filename")
    with pytest.raises(MlpipeError, match=r"of an older mlpipe.*original_filename.*MLPIPE_CATALOGUE"):
        Catalogue(warehouse.catalogue.url).create()


# --- deadlines ---


def late(warehouse: Warehouse) -> list[LedgerRow]:
    with warehouse.reading() as session:
        return reconcile.overdue_rows(session)


def test_the_clock_starts_when_a_run_takes_the_row(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    with warehouse.transaction() as session:
        ledger.enter(session, warehouse, Stage.BIAS, trigger())
    long_ago = clock.now() - timedelta(hours=2)
    change(warehouse, created_at=long_ago, requested_at=long_ago, deadline=long_ago + timedelta(seconds=600))
    assert late(warehouse) == [], "it has waited for its turn"
    with warehouse.transaction() as session:
        ledger.take(session, Stage.BIAS, "t1", "run-1")
    row = the_row(warehouse)
    assert row.taken_at is not None and (row.deadline - row.taken_at).total_seconds() == 600
    assert late(warehouse) == []


@pytest.mark.parametrize(("budget", "seconds"), [("90s", 390), ("10m", 900), (None, 360)])
def test_a_training_of_a_person_has_its_budget_and_the_grace(
    warehouse: Warehouse, tmp_path: Path, budget: str | None, seconds: int
) -> None:
    version = scenes.upload(warehouse, tmp_path)
    payload = {"time_budget": budget} if budget else {}
    with warehouse.transaction() as session:
        ledger.take_for_person(session, warehouse.settings, Stage.AUTOML, version, "run-9", payload, False)
    row = the_row(warehouse, "automl")
    assert row.taken_at is not None and (row.deadline - row.taken_at).total_seconds() == seconds


def test_what_is_overdue_ends_once_in_words_and_stores_nothing(warehouse: Warehouse, held: Claim) -> None:
    now = clock.now()
    change(warehouse, taken_at=now - timedelta(seconds=601), deadline=now - timedelta(seconds=1))
    for row in late(warehouse) * 2:
        reconcile.end_late_run(warehouse, row)
    (event,) = map(scenes.value_of, scenes.outbox_rows(warehouse, "pipeline.failed"))
    assert (event["error_type"], event["run_id"]) == ("overdue", "run-1")
    assert event["error_message"] == (
        "It was not done within 600 s and was stopped. "
        "Try again: mlpipe retry loans, or give it longer first: MLPIPE_BIAS_DEADLINE."
    )
    with pytest.raises(StageLost):
        results.save_bias_report(warehouse, held, {}, "paid", TaskKind.BINARY)
    assert scenes.outbox_rows(warehouse, "bias.reported") == []
    with warehouse.reading() as session:
        assert [row.run_id for row in reconcile.unwanted_rows(session)] == ["run-1"]
        assert len(inbox.list_notifications(session, "ann")) == 1


# --- foreign results that come late ---


def foreign_and_overdue(warehouse: Warehouse, role: Role, what: Arrived) -> None:
    with warehouse.transaction() as session:
        set_player(session, role, "foreign")
    take_in(warehouse, type(what.event), [what.record])
    with warehouse.transaction() as session:
        session.query(LedgerRow).update({"deadline": clock.now() - timedelta(seconds=1)})
    with warehouse.transaction() as session:
        reconcile.end_overdue(session, warehouse)
    assert status(warehouse) == "failed"


def fresh(record: Record) -> Record:
    """The record as of now: results stored from here on are newer."""
    return Record(record.topic, 0, 0, int(clock.now().timestamp() * 1000), record.key, record.value, record.raw_headers)


def test_a_foreign_report_that_comes_late_is_accepted_and_the_pipeline_goes_on(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    scenes.upload(warehouse, tmp_path)
    foreign_and_overdue(warehouse, Role.BIAS, trigger())
    results.receive_bias_report(warehouse, "ann", "loans", {"theirs": 1}, "paid", "binary")
    assert (the_row(warehouse).state, status(warehouse)) == ("answered", "running")
    with warehouse.transaction() as session:
        set_player(session, Role.BIAS, "ours")
        assert reconcile.take_over(session, warehouse) == 0, "there is nothing left to do"


def test_a_foreign_explanation_that_comes_late_ends_the_pipeline(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    results.receive_model(warehouse, "ann", "loans", NewModel("m", "M", "sklearn", "classification", ()))
    foreign_and_overdue(
        warehouse, Role.XAI, scenes.arrived(scenes.xai_trigger(), "xai-trigger-events", ce_id="x1", version="v1")
    )
    file = StoredFile("p.html", "p", 4, "0" * 64, "text/html")
    states = []
    for kind in ReportType:
        results.receive_explanation(warehouse, "ann", "loans", "m", NewExplanation(kind, Level.BEGINNER, file))
        states.append((the_row(warehouse, "xai").state, status(warehouse)))
    assert states == [("failed", "failed"), ("answered", "done")]


def test_an_overdue_row_that_was_asked_for_again_is_history(warehouse: Warehouse, tmp_path: Path) -> None:
    scenes.upload(warehouse, tmp_path)
    foreign_and_overdue(warehouse, Role.BIAS, trigger())
    interventions.retry_pipeline(warehouse, "loans")
    again = trigger("t2")
    take_in(warehouse, type(again.event), [again.record])
    results.receive_bias_report(warehouse, "ann", "loans", {}, "paid", "binary")
    with warehouse.transaction() as session:
        rows = session.query(LedgerRow).order_by(LedgerRow.id).all()
        assert [(row.cause, row.state) for row in rows] == [("t1", "failed"), ("t2", "answered")]
        assert answers.oldest_unanswered(session, Stage.BIAS, "ann", "loans") is None
        set_player(session, Role.BIAS, "ours")
        assert reconcile.take_over(session, warehouse) == 0, "it would be done twice"


def test_a_foreign_cores_trigger_that_comes_late_is_its_answer(warehouse: Warehouse, tmp_path: Path) -> None:
    version = scenes.upload(warehouse, tmp_path)
    upload = scenes.upload_event(warehouse, version)
    with warehouse.transaction() as session:
        set_player(session, Role.AGENTIC_CORE, "foreign")
        ledger.expect_trigger(session, warehouse.settings, Stage.BIAS, upload)
        session.query(LedgerRow).update({"deadline": clock.now() - timedelta(seconds=1)})
    with warehouse.transaction() as session:
        reconcile.end_overdue(session, warehouse)
    take_in(warehouse, type(trigger().event), [trigger().record])
    assert (the_row(warehouse, "core-bias").state, status(warehouse)) == ("answered", "running")
    with warehouse.transaction() as session:
        set_player(session, Role.AGENTIC_CORE, "ours")
        assert reconcile.take_over(session, warehouse) == 0, "it has been decided"
