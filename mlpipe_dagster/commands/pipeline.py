"""`mlpipe status` and `mlpipe watch`: one pipeline, once or live."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from mlpipe_dagster import clock
from mlpipe_dagster.commands import pipeline_text
from mlpipe_dagster.commands.client import ApiClient
from mlpipe_dagster.commands.pipeline_text import StageLine

LOOK_SECONDS = 1.0
OVER = ("done", "failed", "cancelled", "superseded", "waiting")
WELL = ("done", "waiting")


@click.command()
@click.argument("dataset_id")
@click.option("--user-id", help="Owner, where several users have a dataset of that id.")
def status(dataset_id: str, user_id: str | None) -> None:
    """Show one pipeline: stages, choices, events, questions, links."""
    show(ApiClient().get("pipelines", dataset_id, user_id=user_id))


@click.command()
@click.argument("dataset_id")
@click.option("--user-id", help="Owner, where several users have a dataset of that id.")
def watch(dataset_id: str, user_id: str | None) -> None:
    """Follow one pipeline until it is done, failed, or waits for an answer."""
    watch_pipeline(ApiClient(), dataset_id, user_id)


def show(pipeline: Mapping[str, Any]) -> None:
    """Print a pipeline."""
    console = Console()
    click.echo(pipeline_text.headline(pipeline))
    console.print(pipeline_text.stages_table(pipeline_text.stage_lines(pipeline, clock.now())))
    _print_section("Choices", pipeline_text.choice_lines(pipeline))
    _print_section("Events", pipeline_text.event_lines(pipeline))
    _print_section("Waiting for you", pipeline_text.question_lines(pipeline))
    _print_section("Failed", pipeline_text.failure_lines(pipeline))
    _print_section("Links", pipeline_text.link_lines(pipeline))


def _print_section(title: str, lines: list[str]) -> None:
    if lines:
        click.echo(f"{title}:")
        for line in lines:
            click.echo(f"  {line}")
        click.echo()


def watch_pipeline(client: ApiClient, dataset_id: str, user_id: str | None) -> None:
    """Show the stages as they change, then how it ended; exits with 1 where it ended badly."""
    with StageView(dataset_id) as view:
        while True:
            pipeline = client.get("pipelines", dataset_id, user_id=user_id)
            view.show(pipeline)
            if pipeline["status"] in OVER:
                break
            time.sleep(LOOK_SECONDS)
    click.echo(pipeline_text.headline(pipeline))
    for lines in (pipeline_text.question_lines, pipeline_text.failure_lines, pipeline_text.link_lines):
        for line in lines(pipeline):
            click.echo(f"  {line}")
    if pipeline["status"] not in WELL:
        sys.exit(1)


class StageView:
    """The stages live: a table that changes in place on a terminal, a line for each change elsewhere."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._told: dict[str, str] = {}

    def __enter__(self) -> "StageView":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, pipeline: Mapping[str, Any]) -> None:
        """Show how the pipeline stands now."""
        lines = pipeline_text.stage_lines(pipeline, clock.now())
        if self._live:
            table = pipeline_text.stages_table(lines)
            self._live.update(Group(Text(pipeline_text.headline(pipeline)), table), refresh=True)
        else:
            self._tell_changes(lines)

    def say(self, line: str) -> None:
        """Print a line above the table."""
        self._console.print(Text(line), soft_wrap=True)

    def _tell_changes(self, lines: list[StageLine]) -> None:
        for line in lines:
            if line.state and self._told.get(line.stage) != line.words:
                self._told[line.stage] = line.words
                parts = (f"{line.stage:<8}", line.words, pipeline_text.duration(line.seconds), line.note)
                self.say("  ".join(part for part in parts if part))
