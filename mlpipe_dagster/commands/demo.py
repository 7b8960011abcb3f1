"""`mlpipe demo`: the platform with one table on its way through all four stages, followed live on Kafka and the API."""

import sys
import threading
import time
from importlib.resources import as_file, files

import click

from mlpipe_dagster.commands import pipeline_text
from mlpipe_dagster.commands.client import ApiClient, ApiUnreachable
from mlpipe_dagster.commands.pipeline import StageView
from mlpipe_dagster.commands.up import greet, keep_up
from mlpipe_dagster.errors import BrokerUnavailable, ContractError
from mlpipe_dagster.events import Event, PipelineFailed, XaiReported, contracts_by_topic
from mlpipe_dagster.messaging.follow import Follower
from mlpipe_dagster.messaging.records import Record
from mlpipe_dagster.services.plan import Plan, kafka_of
from mlpipe_dagster.services.stack import running_stack
from mlpipe_dagster.services.supervisor import Supervisor
from mlpipe_dagster.settings import settings
from mlpipe_dagster.vocabulary import ReportType

DATASET_ID, USER_ID = "german-credit-demo", "demo"
TABLE = "german_credit.csv"
CHOICES = {"target_column_name": "credit", "time_budget": "20"}
GIVE_UP_SECONDS = 300.0
WAIT_SECONDS = 0.25


@click.command()
@click.option("--exit", "exit_when_done", is_flag=True, help="End with the pipeline: code 0 when all went well.")
def demo(exit_when_done: bool) -> None:
    """Start everything, and follow the German credit table from upload to explanation."""
    stopping = threading.Event()
    click.echo("Starting mlpipe …")
    with running_stack(settings(), click.echo, stopping) as (plan, supervisor):
        trouble: str | None = "stopped before the end"
        if not stopping.is_set():
            greet(plan)
            trouble = DemoRun(plan, supervisor, stopping).follow()
            click.echo(f"The demo failed: {trouble}" if trouble else "The demo is done.")
        if not exit_when_done and not stopping.is_set():
            click.echo("Everything stays up until Ctrl-C.")
            keep_up(supervisor, stopping)
    if trouble:
        sys.exit(1)


class DemoRun:
    """One upload of the demo table, followed until both explanations are announced and can be seen."""

    def __init__(self, plan: Plan, supervisor: Supervisor, stopping: threading.Event) -> None:
        self._supervisor = supervisor
        self._stopping = stopping
        self._client = ApiClient(plan.api_url)
        known = settings()
        self._contracts = contracts_by_topic(known) | {PipelineFailed.topic(known): PipelineFailed}
        self._follower = Follower(kafka_of(plan, known), self._contracts)
        self._started_at = time.monotonic()
        self._version = ""
        self._explained: set[ReportType] = set()
        self._trouble: str | None = None

    def follow(self) -> str | None:
        """Upload and follow; None when all went well, else what went wrong."""
        with self._follower, StageView(DATASET_ID) as view:
            self._follower.poll(0)  # from here on: what the topics held before is not this upload's
            self._upload(view)
            while not self._is_over():
                self._look(view)
            self._look(view)
        if self._stopping.is_set() and not self._is_explained():
            return "stopped before the end"
        return self._trouble or self._conclude()

    def _upload(self, view: StageView) -> None:
        self._started_at = time.monotonic()
        with as_file(files("mlpipe_dagster") / "demo" / TABLE) as table:
            form = {"dataset_id": DATASET_ID, "user_id": USER_ID, "name": "German credit", **CHOICES}
            self._version = self._client.upload(table, TABLE, form)["version"]
        view.say(f"Uploaded {TABLE} as {DATASET_ID} {self._version} of {USER_ID}")

    def _is_explained(self) -> bool:
        return self._explained == set(ReportType)

    def _is_over(self) -> bool:
        if time.monotonic() - self._started_at > GIVE_UP_SECONDS:
            self._trouble = self._trouble or f"not done after {GIVE_UP_SECONDS:.0f} s; look with: mlpipe doctor"
        return bool(self._trouble) or self._is_explained() or self._stopping.is_set()

    def _look(self, view: StageView) -> None:
        """Once around: the records that came, the stages, the services."""
        try:
            for record in self._follower.poll(WAIT_SECONDS):
                self._take(record, view)
            pipeline = self._client.get("pipelines", DATASET_ID, user_id=USER_ID)
        except (BrokerUnavailable, ApiUnreachable):
            self._stopping.wait(WAIT_SECONDS)  # it died: the supervisor says so and starts it again
        else:
            view.show(pipeline)
            if pipeline["status"] in ("failed", "cancelled", "superseded") and not self._trouble:
                reasons = pipeline_text.failure_lines(pipeline) or [f"the pipeline is {pipeline['status']}"]
                self._trouble = reasons[-1]
        self._supervisor.tend()

    def _take(self, record: Record, view: StageView) -> None:
        event = self._of_this_upload(record)
        if event is None:
            return
        elapsed = time.monotonic() - self._started_at
        what = f"{event.event_type} {event.report_type.value}" if isinstance(event, XaiReported) else event.event_type
        view.say(f"{elapsed:6.1f} s  {record.coordinates:<28} {what}")
        if isinstance(event, XaiReported):
            self._explained.add(event.report_type)
        if isinstance(event, PipelineFailed):
            self._trouble = f"{event.stage.value}: {event.error_message}"

    def _of_this_upload(self, record: Record) -> Event | None:
        try:
            event = self._contracts[record.topic].from_bytes(record.value)
        except ContractError:
            return None  # somebody else's, on a shared Kafka
        whose = (getattr(event, "dataset_id", None), getattr(event, "user_id", None))
        version = record.headers.get("ce_datasetversion", self._version)
        return event if whose == (DATASET_ID, USER_ID) and version == self._version else None

    def _conclude(self) -> str | None:
        """Print the links; say which explanation cannot be seen, if any."""
        pipeline = self._client.get("pipelines", DATASET_ID, user_id=USER_ID)
        for line in pipeline_text.link_lines(pipeline):
            click.echo(line)
        for report in ReportType:
            link = pipeline["links"].get(report.value)
            if link is None:
                return f"the pipeline has no link to its {report.value}"
            status, content_type = self._client.page(link)
            if status != 200 or not content_type.startswith("text/html"):
                return f"{link} answered {status} {content_type} instead of a page"
        return None
