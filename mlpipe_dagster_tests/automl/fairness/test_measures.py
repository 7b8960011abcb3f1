"""Measures between the groups of a model, against fairlearn, aif360, holisticai, ProPublica, and by hand."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from mlpipe_dagster.automl.fairness.calibration import calibration_slope, expected_calibration_error, reliability
from mlpipe_dagster.automl.fairness.measure import Grouping, measure_fairness
from mlpipe_dagster.automl.fairness.measures import MEASURES, equalized_odds_difference, measures_for
from mlpipe_dagster.automl.fairness.overall import consistency
from mlpipe_dagster.automl.fairness.pages import measures_page
from mlpipe_dagster.automl.fairness.rates import Side
from mlpipe_dagster.automl.fairness.report import ECE, Disparity, Fairness
from mlpipe_dagster.automl.metrics import Outcome
from mlpipe_dagster.vocabulary import TaskKind

GROUPS, CLASSES = ("a", "b", "c"), ("no", "yes")


def answers(rows: int = 240, seed: int = 11) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups a, b, c; the truth; and the chance of it by a model that rates b too low."""
    draw = np.random.default_rng(seed)
    groups = draw.choice(list(GROUPS), p=[0.5, 0.3, 0.2], size=rows)
    truth = (draw.random(rows) < np.where(groups == "a", 0.55, 0.4)).astype(float)
    chance = 0.25 + 0.4 * truth + np.where(groups == "b", -0.12, 0) + draw.normal(scale=0.18, size=rows)
    return groups, truth, np.clip(chance, 0.01, 0.99)


def two(chance: np.ndarray) -> np.ndarray:
    return np.column_stack([1 - chance, chance])


def measured(groups: np.ndarray, truth: np.ndarray, chance: np.ndarray, reference: str = "a") -> Fairness:
    return measure_fairness([Grouping("g", groups.astype(object), reference)], Outcome(truth, two(chance)), CLASSES)


def between(found: Fairness, measure: str, group: str = "b", outcome: str | None = "yes") -> Disparity:
    return next(one for one in found.disparities if (one.measure, one.group, one.outcome) == (measure, group, outcome))


@pytest.fixture(scope="module")
def found() -> Fairness:
    return measured(*answers())


def test_rates_of_groups_are_those_of_fairlearn(found: Fairness) -> None:
    """fairlearn 0.15.0: MetricFrame of selection_rate, true_positive_rate, …; precision by scikit-learn 1.9.1."""
    of_a, of_b, of_c = (group.values for group in found.groups)
    assert of_a["selection rate"] == pytest.approx(0.4846153846)
    assert of_a["true positive rate"] == pytest.approx(0.7402597403)
    assert of_a["false positive rate"] == pytest.approx(0.1132075472)
    assert of_b["false negative rate"] == pytest.approx(0.4800000000)
    assert of_c["positive predictive value"] == pytest.approx(0.8947368421)
    assert of_c["accuracy"] == pytest.approx(0.8536585366)


def test_equalized_odds_are_those_of_fairlearn(found: Fairness) -> None:
    """fairlearn 0.15.0: equalized_odds_difference and equalized_odds_ratio of the rows of a and one other group."""
    assert between(found, "equalized odds difference").value == pytest.approx(0.22025974025974027)
    assert between(found, "equalized odds ratio").value == 0.0
    assert between(found, "equalized odds difference", "c").value == pytest.approx(0.06926406926406925)
    assert between(found, "equalized odds ratio", "c").value == pytest.approx(0.8833333333333334)


def test_differences_are_those_of_aif360(found: Fairness) -> None:
    """aif360 0.6.1: statistical_parity_difference = -DPPL, equal_opportunity_difference = -TPR difference, …"""
    assert between(found, "DPPL").value == pytest.approx(0.29620958751393534)
    assert between(found, "DI").value == pytest.approx(0.3887738670347366)
    assert between(found, "TPR difference").value == pytest.approx(0.22025974025974027)
    assert found.overall[0].value == pytest.approx(0.10875756496974007)  # generalized_entropy_error, alpha=2


def test_differences_are_those_of_holisticai(found: Fairness) -> None:
    """holisticai 1.0.14: classification_bias_metrics of group b against a, and regression_bias_metrics (MAE Ratio)."""
    assert between(found, "FPR difference").value == pytest.approx(0.113208, abs=1e-6)
    assert between(found, "accuracy difference").value == pytest.approx(-0.026087, abs=1e-6)
    groups = answers()[0]
    truth = np.where(groups == "a", 5.0, 3.0) + np.random.default_rng(4).normal(size=240)
    errors = np.random.default_rng(5).normal(size=240) * np.where(groups == "a", 0.5, 0.8)
    predicted = truth + errors + np.where(groups == "b", 0.3, 0)
    numbers = measure_fairness([Grouping("g", groups.astype(object), "a")], Outcome(truth, predicted))
    assert between(numbers, "MAE ratio", outcome=None).value == pytest.approx(1.705520, abs=1e-6)
    assert between(numbers, "mean prediction difference", outcome=None).value == pytest.approx(1.556751, abs=1e-6)
    assert between(numbers, "MAE ratio", outcome=None).clear
    assert not between(numbers, "mean error difference", outcome=None).clear


def test_calibration_slopes_are_those_of_statsmodels(found: Fairness) -> None:
    """statsmodels 0.15.0: GLM, binomial, of the truth on a constant and the logit of the probability, by group."""
    of_a, of_b = found.groups[0], found.groups[1]
    assert of_a.values["calibration slope"] == pytest.approx(2.6460959962225368, rel=1e-5)
    assert of_b.values["calibration slope"] == pytest.approx(1.528161930557776, rel=1e-5)
    half = 1.959964 * 0.5279981827217411
    assert of_a.intervals["calibration slope"] == pytest.approx((2.6460960 - half, 2.6460960 + half), rel=1e-4)
    slopes = between(found, "calibration slope difference")
    assert slopes.value == pytest.approx(1.1179340656647608, rel=1e-5)
    assert slopes.p_value == pytest.approx(0.0896, abs=2e-4)  # z = 1.11793 / sqrt(0.527998² + 0.393594²) = 1.6976


def test_reliability_is_that_of_scikit_learn() -> None:
    _, truth, chance = (part[:120] for part in answers())
    bins = reliability(chance, truth == 1)
    shares, means = calibration_curve(truth, chance, n_bins=6, strategy="quantile")
    assert [one.observed for one in bins] == pytest.approx(shares.tolist())
    assert [one.predicted for one in bins] == pytest.approx(means.tolist())
    error = expected_calibration_error(bins)
    assert error.value == pytest.approx(float(np.abs(shares - means).mean()))
    assert error.low is not None
    assert error.high is not None
    assert 0 <= error.low < float(np.abs(shares - means).mean()) < error.high


def test_calibration_is_said_where_it_can_be(found: Fairness) -> None:
    assert len(found.groups[0].reliability) == 6  # 130 rows
    few = measured(*(part[:60] for part in answers()))
    assert few.groups[2].values["expected calibration error"] is None
    assert few.groups[2].reliability == ()
    separated = calibration_slope(np.linspace(0.1, 0.9, 40), np.arange(40) >= 20)
    assert separated is None
    assert calibration_slope(np.full(40, 0.5), np.arange(40) % 2 == 0) is None


@pytest.mark.long
def test_intervals_of_the_calibration_error_hold_what_they_say() -> None:
    draw, reached = np.random.default_rng(8), 0
    for shift in (0.0, 0.05, 0.15):
        for _ in range(200):
            chance = draw.uniform(0.2, 0.8, 200)
            error = expected_calibration_error(reliability(chance, draw.random(200) < chance + shift))
            reached += (error.low or 0.0) <= shift <= (error.high or 0.0)
    assert reached / 600 > 0.94


def test_consistency_is_that_of_aif360() -> None:
    """aif360 0.6.1 counts a row among its own neighbours: its 6 nearest are the row and our 5, and it says 0.59583."""
    features = np.random.default_rng(2).normal(size=(240, 3))
    said = (answers()[2] > 0.5).astype(float)
    alike = consistency(features, said)
    assert alike is not None
    assert alike.value == pytest.approx(1 - 6 / 5 * (1 - 0.5958333333333333))


def test_propublicas_table(shared_data: Path) -> None:
    """Larson et al. 2016, “How We Analyzed the COMPAS Recidivism Algorithm”: FPR and FNR at medium or high risk."""
    table = pd.read_csv(shared_data / "compas_two_years.csv")
    risky = (table["decile_score"] >= 5).to_numpy(dtype=float)
    groups = table["race"].to_numpy(dtype=object)
    truth = table["two_year_recid"].to_numpy(dtype=float)
    compas = measured(groups, truth, risky, "African-American")
    rates = {group.group: group.values for group in compas.groups}
    assert rates["African-American"]["false positive rate"] == pytest.approx(0.4485, abs=5e-4)
    assert rates["Caucasian"]["false positive rate"] == pytest.approx(0.2345, abs=5e-4)
    assert rates["African-American"]["false negative rate"] == pytest.approx(0.2799, abs=5e-4)
    assert rates["Caucasian"]["false negative rate"] == pytest.approx(0.4772, abs=5e-4)
    assert between(compas, "FPR difference", "Caucasian").clear
    assert between(compas, "equalized odds difference", "Caucasian").value == pytest.approx(0.214, abs=1e-3)
    native = [one for one in compas.disparities if one.group == "Native American"]
    assert all(one.too_few and not one.clear for one in native)


def test_every_measure_has_its_definition_and_lies_in_its_range(found: Fairness) -> None:
    kinds = {kind.name: kind for kind in MEASURES}
    assert len(kinds) == len(MEASURES)
    assert all(kind.formula and kind.sign and kind.source and kind.method for kind in MEASURES)
    assert {one.measure for one in found.disparities} == {kind.name for kind in measures_for(TaskKind.BINARY)}
    for one in found.disparities:
        low, high = kinds[one.measure].range
        assert one.value is None or low <= one.value <= high
        if one.low is not None and one.high is not None and one.value is not None:
            assert low <= one.low <= one.value <= one.high <= high


def test_the_page_of_measures_is_up_to_date() -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "model-fairness.md"
    assert page.read_text(encoding="utf-8") == measures_page(), "run `make docs`"


def test_by_hand() -> None:
    """Of 16 and 16 rows: hits 4 and 2, false alarms 2 and 2, misses 4 and 6, correct rejections 6 and 6."""
    truth = np.tile([1] * 4 + [0] * 2 + [1] * 4 + [0] * 6, 2).astype(float)
    said = np.array([1] * 6 + [0] * 10 + [1] * 2 + [0] * 2 + [1] * 2 + [0] * 10, dtype=float)
    hand = measured(np.repeat(["a", "b"], 16), truth, said)
    assert between(hand, "treatment equality").value == pytest.approx(6 / 2 - 4 / 2)
    assert between(hand, "calibration difference").value == pytest.approx((6 / 16 - 8 / 16) - (4 / 16 - 8 / 16))
    assert between(hand, "TPR ratio").value == pytest.approx(0.5)
    assert between(hand, "PPV difference").note.startswith("Not shown: it rests on fewer than 5 rows")
    assert all(one.too_few for one in hand.disparities)


def test_small_groups_are_flagged_and_tiny_ones_hidden() -> None:
    groups = np.repeat(["a", "b", "c"], [60, 29, 4])
    draw = np.random.default_rng(1)
    small = measured(groups, draw.integers(0, 2, 93).astype(float), draw.random(93))
    assert [(group.rows, group.small) for group in small.groups] == [(60, False), (29, True), (0, True)]
    assert set(small.groups[2].values.values()) == {None}
    assert {one.group for one in small.disparities} == {"b"}
    assert not small.clear


def test_swapping_the_groups_turns_signs_and_keeps_what_has_none(found: Fairness) -> None:
    groups, truth, chance = answers()
    kept = np.isin(groups, ["a", "b"])
    there = measured(groups[kept], truth[kept], chance[kept], "a")
    back = measured(groups[kept], truth[kept], chance[kept], "b")
    for one in there.disparities:
        other = between(back, one.measure, "a")
        if one.value is None or other.value is None:
            continue
        turned = {0.0: -one.value, 1.0: 1 / one.value if one.value else math.inf}[one.equal]
        same = one.measure.startswith("equalized odds")
        assert other.value == pytest.approx(one.value if same else turned)


def test_several_classes_one_after_the_other() -> None:
    draw = np.random.default_rng(7)
    groups, truth = np.repeat(["a", "b"], 300), draw.integers(0, 3, 600)
    said = np.where((groups == "b") & (draw.random(600) < 0.5), 2, truth)
    three = measure_fairness(
        [Grouping("g", groups.astype(object), "a")], Outcome(truth.astype(float), np.eye(3)[said]), ("x", "y", "z")
    )
    assert {one.outcome for one in three.disparities} == {None, "x", "y", "z"}
    assert [set(group.values) for group in three.groups] == [{"accuracy", "overconfidence", ECE}] * 2
    assert [one.outcome for one in three.groups[0].classes] == [one.outcome for one in three.groups[1].classes]
    assert between(three, "accuracy difference", outcome=None).value == pytest.approx(1 - (said == truth)[300:].mean())
    more = between(three, "DPPL", outcome="z")
    assert more.clear
    assert more.value == pytest.approx((said[:300] == 2).mean() - (said[300:] == 2).mean())


@pytest.fixture(scope="module")
def several() -> tuple[np.ndarray, Outcome, Fairness]:
    """Three classes in groups a and b: of b the probabilities are too extreme."""
    draw = np.random.default_rng(3)
    groups, scores = np.repeat(["a", "b"], [240, 120]), draw.normal(size=(360, 3))
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    truth = np.array([draw.choice(3, p=row) for row in chances], dtype=float)
    said = np.exp(np.where(groups == "b", 3.0, 1.0)[:, None] * scores)
    outcome = Outcome(truth, said / said.sum(axis=1, keepdims=True))
    return groups, outcome, measure_fairness([Grouping("g", groups.astype(object), "a")], outcome, ("x", "y", "z"))


@pytest.mark.parametrize("group", ["a", "b"])
@pytest.mark.parametrize("name", ["x", "y", "z"])
def test_calibration_of_a_class_is_that_of_scikit_learn(
    several: tuple[np.ndarray, Outcome, Fairness], group: str, name: str
) -> None:
    """scikit-learn's calibration_curve and unpenalised logistic regression, of the class against all others."""
    groups, outcome, found = several
    rows, code = groups == group, "xyz".index(name)
    true, chance = outcome.truth[rows] == code, outcome.predicted[rows, code]
    of_group = next(one for one in found.groups if one.group == group)
    figures = next(one for one in of_group.classes if one.outcome == name)
    shares, means = calibration_curve(true, chance, n_bins=len(figures.reliability), strategy="quantile")
    assert len(figures.reliability) == (10 if group == "a" else 6)
    assert [one.observed for one in figures.reliability] == pytest.approx(shares.tolist())
    assert [one.predicted for one in figures.reliability] == pytest.approx(means.tolist())
    assert figures.values[ECE] == pytest.approx(float(np.abs(shares - means).mean()))
    assert figures.values["calibration error"] == pytest.approx(float(chance.mean() - true.mean()))
    logits = np.log(chance / (1 - chance))[:, None]
    slope = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(logits, true).coef_[0, 0]
    assert figures.values["calibration slope"] == pytest.approx(slope, rel=1e-4)
    assert {"true positive rate", "positive predictive value"} < set(figures.values)
    assert "accuracy" not in figures.values  # of one class against all others it says little
    assert set(figures.intervals) == set(figures.values)


def test_calibration_of_several_classes_is_compared(several: tuple[np.ndarray, Outcome, Fairness]) -> None:
    groups, outcome, found = several
    right, sure = outcome.choice == outcome.truth, outcome.predicted.max(axis=1)
    for one in found.groups:
        rows = groups == one.group
        shares, means = calibration_curve(right[rows], sure[rows], n_bins=len(one.reliability), strategy="quantile")
        assert [held.observed for held in one.reliability] == pytest.approx(shares.tolist())
        assert one.values[ECE] == pytest.approx(float(np.abs(shares - means).mean()))
    a, b = ((sure - right)[groups == name].mean() for name in "ab")
    assert between(found, "overconfidence difference", outcome=None).value == pytest.approx(a - b)
    assert between(found, "overconfidence difference", outcome=None).clear
    assert between(found, "calibration slope difference", outcome="x").clear
    assert {one.outcome for one in found.disparities if one.measure == "calibration difference"} == {"x", "y", "z"}
    assert {one.measure for one in found.disparities} == {kind.name for kind in measures_for(TaskKind.MULTICLASS)}


def test_measures_that_share_a_test_are_corrected_once(found: Fairness) -> None:
    """Five tests of each of two groups: selection, TPR (with FNR), FPR, PPV, accuracy; and Welch's of calibration."""
    tested = {(one.group, one.p_value) for one in found.disparities if one.p_adjusted is not None}
    assert len(tested) <= 12
    first = min(tested, key=lambda pair: pair[1] or 1.0)
    surest = next(one for one in found.disparities if (one.group, one.p_value) == first)
    singles = {(one.group, one.p_value) for one in found.disparities if one.p_adjusted is not None}
    assert surest.p_adjusted == pytest.approx(len(singles) * (first[1] or 0.0))


@pytest.mark.parametrize("odds", [((0.7, 0.2), (0.7, 0.2)), ((0.8, 0.15), (0.55, 0.2))], ids=["alike", "apart"])
def test_the_interval_of_equalized_odds_holds_what_it_says(odds: tuple[tuple[float, float], ...]) -> None:
    """Of 150 draws of 200 and 120 rows, 95 % hold the true difference; 0.9 is below by three standard errors."""
    draw = np.random.default_rng(9)
    true = max(abs(a - d) for a, d in zip(*odds, strict=True))
    held = 0
    for _ in range(150):
        sides = []
        for (found, alarm), rows in zip(odds, (200, 120), strict=True):
            chances = [0.5 * found, 0.5 * alarm, 0.5 * (1 - found), 0.5 * (1 - alarm)]
            sides.append(Side(rows, draw.multinomial(rows, chances)))
        ends = equalized_odds_difference(*sides)
        held += ends.low is not None and ends.high is not None and ends.low <= true <= ends.high
    assert held >= 0.9 * 150
