"""Proxies: what gives a sensitive column away, what does not, what only does together, and what is said of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.bias.report import BiasReport
from mlpipe_dagster.bias.signals import FeatureProxies
from mlpipe_dagster_tests.bias.tables import measured


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> BiasReport:
    generator = np.random.default_rng(5)
    women = np.tile([True, False, False], 400)
    job = np.where(women, "nurse", "smith")
    job[np.flatnonzero(women)[:20]] = job[np.flatnonzero(~women)[:80]] = "clerk"
    first = generator.integers(0, 2, 1200)
    frame = pd.DataFrame(
        {
            "sex": np.where(women, "female", "male"),
            "job": job,
            "height": np.where(women, 165.0, 178.0) + generator.normal(scale=7, size=1200),
            "noise": generator.normal(size=1200),
            "first": first,
            "second": first ^ women,
            "race": generator.choice(["a", "b"], 1200),
            "y": generator.choice(["yes", "no"], 1200),
        }
    )
    return measured(frame, tmp_path_factory.mktemp("proxies"), "sex", "race")


def proxies_of(report: BiasReport, column: str) -> FeatureProxies:
    assert report.signals is not None
    return next(feature for feature in report.signals.features if feature.column == column)


def test_proxies_come_strongest_first_and_say_what_they_tell(report: BiasReport) -> None:
    proxies = proxies_of(report, "sex").proxies
    assert [proxy.column for proxy in proxies[:2]] == ["job", "height"]
    job = proxies[0]
    # clerks are 20 of 400 women and 80 of 800 men, so they are guessed to be men: 380 of 400 and all are guessed right
    assert job.guess.balanced == pytest.approx((0.95 + 1) / 2)
    assert (job.guess.base_rate, job.strength, job.measure) == (pytest.approx(2 / 3), "strong", "Cramér's V")
    assert job.why == "Where it is “nurse”, all are women; of all rows, 33 of 100 are."
    height = proxies[1]
    assert height.measure == "correlation ratio"
    # a difference of 13 with a deviation of 7 in groups of one third and two thirds: eta squared is
    # (2/9 * 169) / (2/9 * 169 + 49) = 0.4339
    assert height.low < 0.4339**0.5 < height.high
    assert height.why.startswith("On average it is 17")


def test_noise_is_weak_and_its_interval_begins_at_nothing(report: BiasReport) -> None:
    noise = next(proxy for proxy in proxies_of(report, "sex").proxies if proxy.column == "noise")
    assert noise.strength == "weak"
    assert noise.low == 0.0
    assert noise.guess.balanced_low < noise.guess.chance + 0.02


def test_columns_may_tell_together_what_none_tells_alone(tmp_path: Path) -> None:
    generator = np.random.default_rng(6)
    first, second = generator.integers(0, 2, (2, 900))
    frame = pd.DataFrame(
        {
            "sex": np.where(first ^ second, "female", "male"),
            "first": first,
            "second": second,
            "y": generator.choice(["yes", "no"], 900),
        }
    )
    feature = proxies_of(measured(frame, tmp_path, "sex"), "sex")
    assert {proxy.strength for proxy in feature.proxies} == {"weak"}
    assert feature.together is not None
    assert (feature.together.balanced, feature.together_columns, feature.together_strength) == (1.0, 2, "strong")


def test_other_sensitive_columns_are_proxies_but_not_taken_together(report: BiasReport) -> None:
    feature = proxies_of(report, "race")
    assert "sex" in {proxy.column for proxy in feature.proxies}
    assert feature.together_columns == 5
    assert feature.together_strength == "weak"


def test_what_gives_a_column_away_is_said(report: BiasReport) -> None:
    found = [finding for finding in report.findings if finding.kind == "proxy"]
    assert [finding.headline for finding in found] == ["sex: other columns give it away"]
    assert "By “job” alone the group is guessed right for 98 of 100 (9" in found[0].detail
    assert found[0].meaning
    assert found[0].limits


def test_a_sample_is_the_same_each_time_and_said(tmp_path: Path) -> None:
    generator = np.random.default_rng(7)
    frame = pd.DataFrame(
        {"sex": generator.choice(["f", "m"], 30_000), "x": generator.normal(size=30_000), "y": ["yes", "no"] * 15_000}
    )
    first, second = (measured(frame, tmp_path, "sex") for _ in range(2))
    assert first == second
    assert first.signals is not None
    assert 19_000 < first.signals.rows < 21_000
    assert f"a random sample of {first.signals.rows:,} of 30,000 rows" in first.signals.notes[0]


def test_groups_too_small_to_say_have_no_proxies(tmp_path: Path) -> None:
    frame = pd.DataFrame({"sex": ["f"] * 20 + ["m"] * 80, "x": range(100), "y": ["yes", "no"] * 50})
    assert proxies_of(measured(frame, tmp_path, "sex"), "sex").proxies == ()
