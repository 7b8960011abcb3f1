"""Each mitigation of a table with a planted disparity: what it changes, measured before and after."""

import pandas as pd
import pytest

from mlpipe_dagster.automl.fairness.report import Disparity, Fairness
from mlpipe_dagster.bias.mitigation.after_training import with_model
from mlpipe_dagster.bias.mitigation.apply import SOURCE_ROW, mitigate
from mlpipe_dagster.bias.mitigation.choice import fitting, settle_mitigation
from mlpipe_dagster.bias.mitigation.report import Effect, TransformationReport
from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.vocabulary import Mitigation, TaskKind
from mlpipe_dagster_tests.automl.test_mitigation import unequal
from mlpipe_dagster_tests.bias.tables import measured

TABLE = unequal(600).drop(columns="row")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> BiasReport:
    return measured(TABLE, tmp_path_factory.mktemp("table"), "sex", target="hired")


def disparity(found: TransformationReport) -> Effect:
    return next(effect for effect in found.before_after if effect.measure == "DPL")


@pytest.mark.parametrize("method", [Mitigation.REWEIGHING, Mitigation.RESAMPLING])
def test_weights_and_copies_even_out_the_outcome(report: BiasReport, method: Mitigation) -> None:
    done = mitigate(TABLE, report, ("sex",), method)
    effect = disparity(done.report)
    share = TABLE["hired"].eq("yes").groupby(TABLE["sex"]).mean()
    assert abs(effect.before.value) == pytest.approx(share["man"] - share["woman"])
    assert effect.after is not None
    assert effect.after.value == pytest.approx(0, abs=0.01)
    assert effect.after.low is not None
    assert effect.after.low < 0 < (effect.after.high or 0)
    cells = done.report.transformations
    assert {(cell.column, cell.method) for cell in cells} == {("sex", method)}
    assert sum(cell.original_value["rows"] for cell in cells) == len(TABLE)
    assert TransformationReport.model_validate_json(done.report.model_dump_json()) == done.report


def test_resampled_rows_name_the_row_they_are_copies_of(report: BiasReport) -> None:
    rows = mitigate(TABLE, report, ("sex",), Mitigation.RESAMPLING).table
    assert rows is not None
    assert len(rows) == pytest.approx(len(TABLE), abs=1)
    source = TABLE.iloc[rows[SOURCE_ROW] - 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows.drop(columns=SOURCE_ROW), source)
    assert rows[SOURCE_ROW].duplicated().any()


def test_the_correlation_remover_leaves_numbers_that_say_nothing_of_sex(report: BiasReport) -> None:
    told = TABLE.assign(height=TABLE["skill"] + 2 * (TABLE["sex"] == "man"))
    done = mitigate(told, report, ("sex",), Mitigation.CORRELATION_REMOVER)
    height = next(effect for effect in done.report.before_after if effect.about == "height")
    assert height.before.value == pytest.approx(abs(told["height"].corr((told["sex"] == "man").astype(float))))
    assert height.after is not None
    assert height.after.value == pytest.approx(0, abs=1e-6)
    assert done.report.not_read == ("sex",)
    assert done.table is not None
    assert done.table.groupby("sex")["height"].mean().round(6).nunique() == 1
    pd.testing.assert_series_equal(done.table["hired"], told["hired"])


def test_columns_that_give_sex_away_are_not_read(report: BiasReport) -> None:
    done = mitigate(TABLE, report, ("sex",), Mitigation.PROXY_DROPPING)
    assert done.report.not_read == ("sex", "club")
    club = next(effect for effect in done.report.before_after if effect.about == "club")
    assert club.before.value > 0.6
    assert club.after is None
    assert done.table is None


def test_what_a_model_does_stands_beside(report: BiasReport) -> None:
    found = mitigate(TABLE, report, ("sex",), Mitigation.REWEIGHING).report
    line = disparity(found)
    said = Disparity(
        column="sex", group=line.group or "", reference=line.reference or "", measure="DPPL", outcome="yes",
        value=0.1, low=0.02, high=0.18, equal=0,
    )  # fmt: skip
    joined = disparity(with_model(found, Fairness(disparities=(said,)), "m v1"))
    assert joined.model is not None
    assert (joined.model.value, joined.model.low, joined.model.high) == (0.1, 0.02, 0.18)
    other = said.model_copy(update={"outcome": "no", "group": said.reference, "reference": said.group})
    turned = disparity(with_model(found, Fairness(disparities=(other,)), "m v1"))
    assert turned.model is not None
    assert (turned.model.value, turned.model.low, turned.model.high) == (0.1, 0.02, 0.18)


def test_what_fits_which_task() -> None:
    assert settle_mitigation("auto", TaskKind.BINARY, ["sex"]) is Mitigation.REWEIGHING
    assert settle_mitigation("auto", TaskKind.REGRESSION, ["sex"]) is Mitigation.CORRELATION_REMOVER
    assert settle_mitigation("auto", TaskKind.BINARY, []) is None
    assert settle_mitigation("none", TaskKind.BINARY, []) is None
    assert set(fitting(TaskKind.BINARY)) == set(Mitigation)
    with pytest.raises(UserError, match="reweighing needs sensitive columns"):
        settle_mitigation(Mitigation.REWEIGHING, TaskKind.BINARY, [])
    with pytest.raises(UserError, match="needs classes to predict, not numbers"):
        settle_mitigation(Mitigation.RESAMPLING, TaskKind.REGRESSION, ["sex"])
