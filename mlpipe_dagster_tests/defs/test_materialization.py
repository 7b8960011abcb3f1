"""What a materialization shows: names out of a table stay plain text, long texts stay in place, numbers stay short."""

import dagster as dg
import pytest

from mlpipe_dagster.defs.materialization import materialize_result
from mlpipe_dagster.settings import Settings
from mlpipe_dagster.stages.outcome import Column, StageOutcome
from mlpipe_dagster.vocabulary import Stage
from mlpipe_dagster.warehouse.ledger import Claim
from mlpipe_dagster.warehouse.outbox import Owner

CLAIM = Claim(
    row_id=7,
    stage=Stage.AUTOML,
    run_id="r",
    cause="c",
    causation_id="c",
    owner=Owner("ada", "sales", 2),
    partition_key="sales",
    payload={},
    correlation_id=None,
    continue_pipeline=False,
)
PICTURE = "![model](http://localhost:8000/plots/model/ada/sales/v2.svg)"


def shown(outcome: StageOutcome) -> dict[str, object]:
    """The metadata of that outcome, unwrapped."""
    metadata = materialize_result(Settings(), CLAIM, outcome).metadata
    assert metadata is not None
    return {name: getattr(value, "value", value) for name, value in metadata.items()}


def test_a_column_name_cannot_bring_a_picture_or_a_link() -> None:
    summary = shown(StageOutcome(summary="What matters: ![x](http://evil/p.png) and <b>", data_version="1"))["summary"]
    assert summary == r"What matters: \!\[x\](http://evil/p.png) and \<b\>" + f"\n\n{PICTURE}"


@pytest.mark.parametrize("text", ["a" * 5000, "_" * 5000, "a" + "_" * 5000])
def test_a_long_summary_stays_short_enough_to_show_in_place(text: str) -> None:
    summary = str(shown(StageOutcome(summary=text, data_version="1"))["summary"])
    assert 900 < len(summary) < 1000
    assert summary.endswith(f"…\n\n{PICTURE}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.77625, 0.7762), (1.7763568394002505e-15, 1.776e-15), (48234.567, 48234.6), (-0.123456, -0.1235), (891, 891)],
)
def test_numbers_are_rounded_for_reading(value: float, expected: float) -> None:
    numbers = shown(StageOutcome(summary="", data_version="1", numbers={"score": value, "target": "price"}))
    assert (numbers["score"], numbers["target"]) == (expected, "price")


def test_order_summary_links_numbers_table() -> None:
    outcome = StageOutcome(
        summary="Done.",
        data_version="1",
        numbers={"trials": 3},
        links={"model": "http://localhost:8000/ai-models/ada/m"},
        row_count=10,
        columns=(Column("price", "float64", "target, number, 9 values"),),
        table=({"trial": 1, "score": 0.123456},),
        table_name="leaderboard",
    )
    found = shown(outcome)
    assert list(found) == [
        "summary",
        "model",
        "pipeline page",
        "trials",
        "leaderboard",
        "dagster/row_count",
        "dagster/column_schema",
    ]
    table = dg.MetadataValue.table([dg.TableRecord({"trial": 1, "score": 0.1235})])
    assert found["leaderboard"] == table.value
