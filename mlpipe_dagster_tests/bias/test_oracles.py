"""Other implementations: literals of AIF360 0.6.1 and of smclarify 0.5 (SageMaker Clarify), fairlearn as it runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from scipy import stats

from mlpipe_dagster.bias.report import FeatureBias
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster_tests.bias.tables import measure, measured

HIRED = {("m", "a"): (40, 10), ("m", "b"): (30, 60), ("m", "c"): (20, 40),
         ("f", "a"): (20, 10), ("f", "b"): (10, 50), ("f", "c"): (15, 25)}  # fmt: skip
GRADES = {"m": (50, 30, 20), "f": (40, 25, 5)}


def hired() -> pd.DataFrame:
    """Men are the larger group; `job` conditions."""
    rows = [(*key, y) for key, (yes, no) in HIRED.items() for y in ["yes"] * yes + ["no"] * no]
    return pd.DataFrame(rows, columns=["sex", "job", "y"])


def values(feature: FeatureBias, *names: str) -> dict[str, float | None]:
    return {name: measure(feature, name, "f").value for name in names}


def test_binary_numbers_of_aif360(tmp_path: Path) -> None:
    feature = measured(hired(), tmp_path, "sex").feature("sex")
    assert values(feature, "DPL", "DI", "CI", "KL") == {
        "DPL": pytest.approx(0.10384615384615387),  # -statistical_parity_difference(priv_group="m")
        "DI": pytest.approx(0.7692307692307692),  # disparate_impact_ratio
        "CI": pytest.approx(0.21212121212121213),  # -class_imbalance
        "KL": pytest.approx(0.022939325275676048),  # kl_divergence
    }


def test_binary_numbers_of_clarify(tmp_path: Path) -> None:
    feature = measured(hired(), tmp_path, "sex", conditioning="job").feature("sex")
    assert values(feature, "CI", "DPL", "KL", "JS", "L2", "TVD", "KS", "CDDL") == {
        "CI": pytest.approx(0.21212121212121213),
        "DPL": pytest.approx(0.10384615384615387),
        "KL": pytest.approx(0.02293932527567602),
        "JS": pytest.approx(0.005638234947970635),
        "L2": pytest.approx(0.1468606391695137),  # LP
        "TVD": pytest.approx(0.10384615384615384),
        "KS": pytest.approx(0.10384615384615387),
        "CDDL": pytest.approx(0.12005923369559733),
    }
    # by hand: of 195 without the outcome 85 are women, of 135 with it 45
    assert values(feature, "DD")["DD"] == pytest.approx(85 / 195 - 45 / 135)


def test_multiclass_numbers_of_clarify(tmp_path: Path) -> None:
    rows = [(sex, grade) for sex, (low, mid, top) in GRADES.items() for grade in "l" * low + "m" * mid + "t" * top]
    frame = pd.DataFrame(rows, columns=["sex", "y"])
    feature = measured(frame, tmp_path, "sex", task=TaskKind.MULTICLASS).feature("sex")
    assert values(feature, "KL", "JS", "L2", "TVD", "KS") == {
        "KL": pytest.approx(0.08685217098053705),
        "JS": pytest.approx(0.018288365913401952),
        "L2": pytest.approx(0.15779087167410372),
        "TVD": pytest.approx(0.12857142857142856),
        "KS": pytest.approx(0.1285714285714286),
    }


def test_wasserstein_agrees_with_scipy(tmp_path: Path) -> None:
    generator = np.random.default_rng(21)
    for rows in (200, 4000):  # exact values, and quantiles of more than 1,000
        a, d = generator.gamma(2, 10, rows).round(4), generator.gamma(2, 12, rows // 2).round(4)
        frame = pd.DataFrame({"sex": ["m"] * len(a) + ["f"] * len(d), "y": [*a, *d]})
        feature = measured(frame, tmp_path, "sex", task=TaskKind.REGRESSION).feature("sex")
        exact = stats.wasserstein_distance(a, d)
        assert measure(feature, "Wasserstein", "f").value == pytest.approx(exact, rel=1e-9 if rows == 200 else 0.01)


def test_rates_of_intersections_agree_with_fairlearn(tmp_path: Path) -> None:
    generator = np.random.default_rng(6)
    columns = {"sex": "mf", "race": "abc", "age": "yo"}
    frame = pd.DataFrame({name: generator.choice(list(letters), 3000) for name, letters in columns.items()})
    frame["y"] = generator.integers(0, 2, 3000)
    report = measured(frame, tmp_path, "sex", "race", "age")
    assert [one.columns for one in report.intersections] == [
        ("sex", "race"), ("sex", "age"), ("race", "age"), ("sex", "race", "age"),
    ]  # fmt: skip
    truth = frame["y"].to_numpy()
    for crossed in report.intersections:
        reference = MetricFrame(
            metrics=lambda true, _: float(np.mean(true)),
            y_true=truth,
            y_pred=truth,
            sensitive_features=frame[list(crossed.columns)],
        )
        rates = {group.parts: group.outcomes[0].value for group in crossed.groups}
        assert rates == pytest.approx(dict(reference.by_group))
        assert sum(group.count or 0 for group in crossed.groups) == 3000
