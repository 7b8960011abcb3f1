"""The pages say what is true: keys of the contracts, their examples, and links that lead somewhere."""

import json
import re
from pathlib import Path

import pytest
from click import Context

from mlpipe_dagster.cli import cli
from mlpipe_dagster.events import PIPELINE_EVENTS, DatasetChanged, Event, PipelineFailed, UploadedDataset
from mlpipe_dagster.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EVENTS = (*PIPELINE_EVENTS, PipelineFailed, DatasetChanged)
OPTIONAL = {"xai-trigger-events": {"version"}}


def topic_of(contract: type[Event]) -> str:
    """The topic's name where nothing else is set."""
    return str(Settings.model_fields[contract.topic_setting].default)


def section(topic: str) -> str:
    """The part of docs/contracts.md under the heading of a topic."""
    page = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    found = re.search(rf"^#+ `{re.escape(topic)}`\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"docs/contracts.md has no heading for {topic}"
    return found[1]


def tables(text: str) -> list[list[str]]:
    """The first column of each table, without head and ticks."""
    parts = re.split(r"\| key \| type \|\n\| --- \| --- \|\n", text)[1:]
    return [re.findall(r"^\| `(\w+)` \|", part.split("\n\n")[0], re.MULTILINE) for part in parts]


@pytest.mark.parametrize("contract", EVENTS, ids=lambda contract: contract.__name__)
def test_the_page_lists_the_keys_of_each_contract(contract: type[Event]) -> None:
    keys = tables(section(topic_of(contract)))
    assert set(keys[0]) == set(contract.model_fields)
    assert len(keys[0]) == len(set(keys[0]))


def test_the_page_lists_the_keys_of_the_dataset_object() -> None:
    assert set(tables(section("dataset-events"))[1]) == set(UploadedDataset.model_fields)


@pytest.mark.parametrize("contract", PIPELINE_EVENTS, ids=lambda contract: contract.__name__)
def test_the_page_marks_what_may_be_missing_or_null(contract: type[Event]) -> None:
    topic = topic_of(contract)
    told = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section(topic), re.MULTILINE))
    for name, field in contract.model_fields.items():
        if name != "event_type":
            may_be_null = field.is_required() and type(None) in getattr(field.annotation, "__args__", ())
            assert told[name].endswith("/null") is may_be_null, (topic, name)
            assert ("*optional*" in told[name]) is (name in OPTIONAL.get(topic, set())) is not field.is_required()


@pytest.mark.parametrize("contract", EVENTS, ids=lambda contract: contract.__name__)
def test_the_examples_keep_the_contract(contract: type[Event]) -> None:
    example = re.search(r"```json\n(.*?)```", section(topic_of(contract)), re.DOTALL)
    assert example
    said = json.loads(example[1])
    assert json.loads(contract.from_bytes(example[1].encode()).to_bytes()) == said


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_that_are_named_exist(page: Path) -> None:
    known = cli.list_commands(Context(cli))
    code = re.findall(r"`([^`\n]+)`|^((?:    )?mlpipe .*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    lines = [line.strip() for pair in code for line in pair if line.strip().startswith("mlpipe ")]
    assert [line for line in lines if line.split()[1].rstrip(",") not in known] == []
