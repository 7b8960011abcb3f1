"""docs/from-the-older-warehouse.md: every command of the page is run, and says what the page says it does."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mlpipe_dagster_tests.brokers import REAL_KAFKA, real_kafka
from mlpipe_dagster_tests.end_to_end.guide import Block, blocks, run, tools, with_tools
from mlpipe_dagster_tests.end_to_end.outside import Outside
from mlpipe_dagster_tests.tools.apache_kafka.jars import why_not

pytestmark = [
    pytest.mark.long,  # make test-kafka runs it in full
    pytest.mark.end_to_end,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "from-the-older-warehouse.md"
BLOCKS = blocks(PAGE)
PLATFORM, ANYWHERE, REAL = "sh platform", "sh", "sh real-kafka"

SAID: dict[str, tuple[str, ...]] = {
    "Coming from the older warehouse": (r"^http://localhost:\d+ \S+:\d+$",),
    "Is it up?": (r'\{"status":"ok"\}.*"kafka":"ok".*\d+ checks: 0 failed',),
    "Upload a table with curl": (
        r'"dataset_id":"test-dataset-1".*"version":"v1".*"row_count":120.*"time_budget":"5s"',
    ),
    "Follow it": (r"test-dataset-1 v1 of user123: done.*xai\.reported.*\"status\":\"done\"",),
    "List the topics": (r"\A(?=.*bias-events\.dlq).*xai-trigger-events", r"automl-events\n.*xai-events\n"),
    "Watch a topic": (
        r"dataset\.uploaded.*test-dataset-1",
        r'\{"event_type": "automl-trigger\.reported".*"time_budget": "\d+s"',
    ),
    "Describe the consumer groups": (
        r'(?s)(?:^kafka_consumergroup_group_lag\{group="\S+",partition="0",topic="\S+"\} \d+\.0\n){7}.*offset',
        r"GROUP.*bias-trigger-consumer +\S*bias-trigger-events +0",
    ),
    "Check the bias report": (r'"dataset_id":"test-dataset-1".*"report":\{.*\}1\n$',),
    "Look at a model": (r'"model_id":"automl_test-dataset-1".*"version":"v1".*"filename":"model\.skops"',),
    "Read the explanations": (r'"data_explanation".*"model_explanation".*\]1\n$',),
    "Change the time budget": (r'"version":"v2".*"time_budget":"6s"',),
    "Restart a stuck worker": (
        r"is cancelled.*goes on from the stage .*test-dataset-1 v2 of user123: running",
        r"bias.*ours",
    ),
    "See why nothing happens": (
        r"bias-trigger-events\.dlq/0/\d+  open .*dataset_id: Field required.* is discarded",
        r"v2 of user123: (?:running|done).*api\.log\n.*daemon\.log",
    ),
    "Delete a dataset": (r'"versions_deleted":2',),
}
"""By heading, what each of its blocks prints; `.` stands for line ends too."""


OF_THE_MOMENT, LOOKS = "Describe the consumer groups", 3


@pytest.fixture(scope="module")
def outcomes(
    platform: Outside, second_terminal: dict[str, str], small_csv: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[Block, subprocess.CompletedProcess[str]]:
    """What every block did, in the order of the page."""
    folder = tmp_path_factory.mktemp("guide")
    shutil.copy(small_csv, folder / "dataset.csv")
    environment = with_tools(second_terminal, tools(folder / "bin"))
    chosen = [block for block in BLOCKS if block.kind == ANYWHERE or (block.kind == REAL and not _without_kafka())]

    def done(block: Block) -> subprocess.CompletedProcess[str]:
        """A machine so busy that Kafka answers late shows no lag for a moment: a person looks again."""
        outcome = run(block, folder, environment, platform.topic_prefix)
        for _ in range(LOOKS if block.heading == OF_THE_MOMENT and outcome.returncode else 0):
            outcome = run(block, folder, environment, platform.topic_prefix)
        return outcome

    return {block: done(block) for block in chosen}


def _without_kafka() -> str | None:
    return why_not() if real_kafka() else f"real Kafka only: {REAL_KAFKA}=host:port"


def expected(block: Block) -> str:
    place = [one for one in BLOCKS if one.heading == block.heading].index(block)
    return SAID[block.heading][place]


def test_the_page_has_no_block_of_another_kind() -> None:
    assert {block.kind for block in BLOCKS} == {PLATFORM, ANYWHERE, REAL}
    (start,) = [block for block in BLOCKS if block.kind == PLATFORM]
    assert start.commands == "mlpipe up\n", "what the fixture has started"
    counted = {heading: len(said) for heading, said in SAID.items()}
    run_here = [block.heading for block in BLOCKS if block.kind != PLATFORM]
    assert {heading: run_here.count(heading) for heading in run_here} == counted


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.kind != PLATFORM],
    ids=lambda block: f"{block.heading}: {block.commands.split(maxsplit=1)[0]}",
)
def test_the_commands_do_what_the_page_says(
    block: Block, outcomes: dict[Block, subprocess.CompletedProcess[str]]
) -> None:
    reason = _without_kafka()
    if block.kind == REAL and reason:
        pytest.skip(reason)
    done = outcomes[block]
    assert done.returncode == 0, done
    assert re.search(expected(block), done.stdout, re.DOTALL | re.MULTILINE), done.stdout
