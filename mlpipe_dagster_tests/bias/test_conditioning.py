"""The conditioning column and CDDL: named, proposed with its reason, and what is said of what is left."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.bias.estimates import conditional_disparity, demographic_disparity
from mlpipe_dagster.bias.pairs import Pair, Side
from mlpipe_dagster.errors import UserError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.bias.tables import measure, measured

# UC Berkeley, graduate admissions 1973, the six largest departments: admitted and rejected men, then women
# (Freedman, Pisani and Purves, Statistics, 1978; Bickel, Hammel and O'Connell 1975, Science 187:398)
BERKELEY = {
    "A": (512, 313, 89, 19), "B": (353, 207, 17, 8), "C": (120, 205, 202, 391),
    "D": (138, 279, 131, 244), "E": (53, 138, 94, 299), "F": (22, 351, 24, 317),
}  # fmt: skip


@pytest.fixture(scope="module")
def berkeley() -> pd.DataFrame:
    rows = [
        (sex, department, answer)
        for department, counts in BERKELEY.items()
        for (sex, answer), count in zip(
            (("male", "admitted"), ("male", "rejected"), ("female", "admitted"), ("female", "rejected")),
            counts,
            strict=True,
        )
        for _ in range(count)
    ]
    return pd.DataFrame(rows, columns=["sex", "department", "y"])


def test_the_department_is_proposed_and_explains_the_difference(berkeley: pd.DataFrame, tmp_path: Path) -> None:
    report = measured(berkeley, tmp_path, "sex")
    assert report.conditioning is not None
    assert (report.conditioning.column, report.conditioning.proposed) == ("department", True)
    assert (
        report.conditioning.why.startswith("it goes with the outcome (Cramér's V 0.")
        and "“sex”" in report.conditioning.why
    )
    women = report.feature("sex")
    # published: 44.5 % of 2,691 men and 30.4 % of 1,835 women were admitted
    assert measure(women, "DPL", "female").value == pytest.approx(0.4452 - 0.3035, abs=1e-3)
    # by hand: 1,278 of 2,771 rejected and 557 of 1,755 admitted were women
    assert measure(women, "DD", "female").value == pytest.approx(1278 / 2771 - 557 / 1755)
    within = measure(women, "CDDL", "female")
    weighted = sum(
        (sum(counts)) * (counts[3] / (counts[1] + counts[3]) - counts[2] / (counts[0] + counts[2]))
        for counts in BERKELEY.values()
    )
    assert within.value == pytest.approx(weighted / 4526)
    assert within.low is not None and within.value is not None and within.low < within.value < (within.high or 0.0)
    said = [finding for finding in report.findings if "“department”" in finding.headline]
    assert said[0].severity == "notice"
    assert said[0].advice.startswith("Ask whether “department” is itself decided fairly")


def test_a_column_can_be_named(berkeley: pd.DataFrame, tmp_path: Path) -> None:
    frame = berkeley.assign(half=["a", "b"] * (len(berkeley) // 2))
    report = measured(frame, tmp_path, "sex", conditioning="half")
    assert report.conditioning is not None
    assert (report.conditioning.why, report.conditioning.values) == ("it was named", ("a", "b"))
    feature = report.feature("sex")
    # a column that says nothing leaves the disparity as it is
    assert measure(feature, "CDDL", "female").value == pytest.approx(measure(feature, "DD", "female").value, abs=0.01)
    assert any("the difference stays among rows alike in “half”" in finding.headline for finding in report.findings)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("departments", "Did you mean “department”"),
        ("sex", "a sensitive column"),
        ("y", "is the target"),
    ],
)
def test_columns_that_cannot_condition_are_refused(
    berkeley: pd.DataFrame, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        measured(berkeley, tmp_path, "sex", conditioning=name)


def test_numbers_have_no_conditional_disparity(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sex": ["m", "f"] * 40, "job": list("aabb") * 20, "y": range(80)})
    report = measured(frame, tmp_path, "sex", task=TaskKind.REGRESSION, conditioning="job")
    assert report.conditioning is None
    assert "A conditioning column needs classes to compare; the target is a number." in report.notes


def test_nothing_is_proposed_where_nothing_goes_with_both(tmp_path: Path) -> None:
    generator = np.random.default_rng(4)
    frame = pd.DataFrame({name: generator.choice(list("ab"), 800) for name in ("sex", "job", "y")})
    report = measured(frame.assign(copy=frame["y"], twin=frame["sex"]), tmp_path, "sex")
    assert report.conditioning is None
    assert "CDDL" not in {one.name for one in report.feature("sex").measures}


def strata(*tables: tuple[int, int, int, int]) -> Pair:
    """Of each stratum a with and without the outcome, d with and without."""
    counts = np.array(tables, dtype=np.int64).reshape(-1, 2, 2)
    return Pair(
        *(Side(int(one.sum()), one.sum(axis=0), np.zeros((0, 2)), strata=one) for one in (counts[:, 0], counts[:, 1]))
    )


def test_rows_where_only_one_outcome_occurs_are_left_out_and_said() -> None:
    found = conditional_disparity(strata((10, 10, 5, 15), (7, 0, 3, 0)), 0)
    assert found.value == pytest.approx(15 / 25 - 5 / 15)
    assert found.note == "10 rows stand where only one of both outcomes occurs, and are left out."
    assert conditional_disparity(strata((7, 0, 3, 0)), 0).value is None


def test_one_stratum_is_the_plain_disparity() -> None:
    pair = strata((30, 20, 10, 25))
    plain, within = demographic_disparity(pair, 0), conditional_disparity(pair, 0)
    assert (within.value, within.low, within.high) == pytest.approx((plain.value, plain.low, plain.high))
