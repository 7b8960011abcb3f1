"""Dead letters through the flow: listed, sent back once mended, discarded; from the command line and in the UI."""

import json

import pytest
from click.testing import CliRunner

from mlpipe_dagster.cli import cli
from mlpipe_dagster.definitions import defs
from mlpipe_dagster.errors import Conflict, UnknownThing
from mlpipe_dagster.messaging.connection import Connection
from mlpipe_dagster.messaging.publisher import Publisher
from mlpipe_dagster.warehouse import dead_letters
from mlpipe_dagster_tests.defs.flow import Flow


@pytest.fixture
def letter(flow: Flow) -> dead_letters.Letter:
    """A record that is no trigger, in the dead letters."""
    flow.publish("bias-trigger-events", {"event_type": "bias-trigger.reported"}, key="k", headers={"ce_id": "broken"})
    flow.tick("bias_trigger_events")
    (found,) = dead_letters.list_letters(flow.warehouse, Connection.from_settings())
    return found


def test_a_letter_says_where_it_came_from_and_why(letter: dead_letters.Letter) -> None:
    assert (letter.state, letter.attempts) == ("open", 1)
    assert letter.origin.endswith("bias-trigger-events/0/0")
    assert "dataset_id" in letter.reason


def test_a_replayed_record_is_read_again_with_its_key_and_headers(flow: Flow, letter: dead_letters.Letter) -> None:
    connection = Connection.from_settings()
    publisher = Publisher(connection)
    place = dead_letters.replay(flow.warehouse, connection, publisher, letter.coordinates)
    publisher.close()
    assert place.endswith("bias-trigger-events/0/1")
    flow.tick("bias_trigger_events")
    first, again = dead_letters.list_letters(flow.warehouse, connection)
    assert (first.state, again.state) == ("replayed", "open")
    assert (again.attempts, again.record.key, again.record.headers["ce_id"]) == (2, b"k", "broken")
    with pytest.raises(Conflict, match="replayed already"):
        dead_letters.discard(flow.warehouse, connection, letter.coordinates)


@pytest.mark.long
def test_the_core_decides_on_a_record_that_came_back(flow: Flow) -> None:
    """Once its reader understands it: what was buried is not remembered as decided."""
    flow.publish("automl-events", {"event_type": "model.uploaded"}, headers={"ce_id": "m"})
    flow.tick("automl_events")
    connection = Connection.from_settings()
    (letter,) = dead_letters.list_letters(flow.warehouse, connection)
    publisher = Publisher(connection)
    dead_letters.replay(flow.warehouse, connection, publisher, letter.coordinates)
    publisher.close()
    flow.tick("automl_events")
    assert len(dead_letters.list_letters(flow.warehouse, connection)) == 2, "it was read, and buried again"


def test_unknown_letters_are_refused(flow: Flow) -> None:
    with pytest.raises(UnknownThing, match="mlpipe dlq list"):
        dead_letters.discard(flow.warehouse, Connection.from_settings(), "x.dlq/0/7")


def test_the_command_line(flow: Flow, letter: dead_letters.Letter) -> None:
    run = CliRunner().invoke
    assert letter.coordinates in run(cli, ["dlq", "list"]).output
    shown = run(cli, ["dlq", "show", letter.coordinates]).output
    assert "key: k" in shown and json.loads(shown.split("value: ")[1]) == {"event_type": "bias-trigger.reported"}
    assert "is discarded" in run(cli, ["dlq", "discard", letter.coordinates]).output
    assert run(cli, ["dlq", "list"]).output == "There is no dead letter.\n"
    assert "discarded" in run(cli, ["dlq", "list", "--all"]).output


def test_the_job_in_the_dagster_ui(flow: Flow, letter: dead_letters.Letter) -> None:
    job = defs.resolve_job_def("dead_letters")
    config = {"action": "REPLAY", "coordinates": [letter.coordinates]}
    run = job.execute_in_process(
        run_config={"ops": {"handle_dead_letters": {"config": config}}}, instance=flow.instance
    )
    assert run.success
    again = job.execute_in_process(
        run_config={"ops": {"handle_dead_letters": {"config": config}}}, instance=flow.instance, raise_on_error=False
    )
    assert not again.success, "it was replayed already"
