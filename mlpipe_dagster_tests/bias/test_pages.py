"""The generated pages about bias say what is true, and a report keeps its published JSON Schema."""

import json
from pathlib import Path

import pandas as pd
import pytest
from jsonschema import Draft202012Validator

from mlpipe_dagster.bias.measures import MEASURES
from mlpipe_dagster.bias.pages import measures_page, report_schema
from mlpipe_dagster.bias.report import SCHEMA_VERSION
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.bias.tables import measured

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize(
    ("name", "text"), [("bias-measures.md", measures_page()), ("bias-report.schema.json", report_schema())]
)
def test_the_pages_are_up_to_date(name: str, text: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == text, "run `make docs`"


def test_every_measure_has_a_source_and_a_range_around_its_equal_value() -> None:
    for kind in MEASURES:
        assert kind.lowest <= kind.equal <= kind.highest
        assert kind.reference and kind.sign and kind.formula and kind.meaning, kind.name


def test_the_versions_end_with_the_current_one() -> None:
    assert f"\n- {SCHEMA_VERSION}: " in (DOCS / "bias-report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", list(TaskKind))
def test_reports_keep_the_schema(tmp_path: Path, task: TaskKind) -> None:
    schema = json.loads((DOCS / "bias-report.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    frame = pd.DataFrame({"sex": ["m", "f"] * 60, "race": ["a", "b", "c"] * 40, "seen": [1.0, None, 2.0] * 40})
    outcome = {TaskKind.BINARY: ["yes", "no", "no"] * 40, TaskKind.MULTICLASS: list("abc") * 40}.get(
        task, [*range(120)]
    )
    report = measured(frame.assign(y=outcome), tmp_path, "sex", "race", task=task)
    Draft202012Validator(schema).validate(report.model_dump(mode="json"))
