"""Rows of one id never stand on both sides of a split, later rows never before earlier ones; what says so."""

import numpy as np
import pandas as pd
import pytest

from mlpipe_dagster.automl.bench import open_bench
from mlpipe_dagster.automl.job import Job, prepare
from mlpipe_dagster.automl.model import TrainingSpec
from mlpipe_dagster.automl.splits import bond_of
from mlpipe_dagster.automl.train import train
from mlpipe_dagster.vocabulary import TaskKind

SPEC = TrainingSpec(target="y", task=TaskKind.BINARY, engine="deterministic:12")


def visits(people: int = 60, rows_each: int = 5) -> pd.DataFrame:
    """A leak through groups: each person has a sign of its own, and an answer that nothing says."""
    draw = np.random.default_rng(3)
    person = np.repeat(np.arange(people), rows_each)
    answers = draw.permutation(np.arange(people) % 2)
    order = draw.permutation(len(person))
    table = pd.DataFrame({"sign": draw.normal(size=people)[person], "patient_id": person + 1000})
    return table.assign(y=np.where(answers[person] == 1, "yes", "no")).iloc[order].reset_index(drop=True)


def log(rows: int = 200) -> pd.DataFrame:
    draw = np.random.default_rng(4)
    table = pd.DataFrame({"x": draw.normal(size=rows), "seen": pd.date_range("2024-01-01", periods=rows, freq="h")})
    return table.assign(y=draw.choice(["no", "yes"], rows))


def fold_rows(job: Job, folds: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Positions in the table of what each fold fits on and validates."""
    bench = open_bench(job.source, 10, 0, folds=folds)
    return [(job.training_rows[fit], job.training_rows[check]) for fit, check in bench.folds]


def test_rows_of_one_id_stay_together() -> None:
    table = visits()
    job = prepare(table, SPEC, 10)
    ids = table["patient_id"].to_numpy()
    sides = [(job.training_rows, job.test_rows), *fold_rows(job, 5), *fold_rows(job, 1)]
    assert all(not set(ids[left]) & set(ids[right]) for left, right in sides)
    assert 0.15 < len(job.test_rows) / len(table) < 0.25
    assert sorted(np.concatenate([check for _, check in fold_rows(job, 5)])) == sorted(job.training_rows)
    assert job.schema.names == ["sign"]
    assert "Rows with the same “patient_id” were kept together" in " ".join(job.notes)


def test_a_leak_through_groups_is_not_taken_for_skill() -> None:
    """What a random draw takes for skill: nine of ten answers known by the sign of a person seen before."""
    together = train(visits(), SPEC, 3)
    assert together.test_score.value < 0.7 and not together.beats_baseline
    random = train(visits(), SPEC.model_copy(update={"split": "random"}), 3)
    assert random.test_score.value > 0.8


def test_the_test_is_the_latest_and_validation_later_than_fitting() -> None:
    shuffled = log().sample(frac=1, random_state=0).reset_index(drop=True).rename(columns={"seen": "date"})
    for table, name in ((log(), "seen"), (shuffled, "date")):
        job = prepare(table, SPEC, 10)
        moments = table[name].to_numpy()
        assert len(job.test_rows) == 40
        (fit, check), *others = fold_rows(job, 5)
        assert not others
        assert moments[fit].max() < moments[check].min() <= moments[check].max() < moments[job.test_rows].min()
        assert f"The test rows are the latest by “{name}”" in " ".join(job.notes)


def test_rows_of_one_moment_stay_together() -> None:
    days = log().assign(seen=lambda table: table["seen"].dt.floor("4h"))
    job = prepare(days, SPEC, 10)
    assert days["seen"].iloc[job.training_rows].max() < days["seen"].iloc[job.test_rows].min()


def test_where_the_latest_rows_have_one_class_rows_are_drawn_at_random() -> None:
    table = log().assign(y=np.where(np.arange(200) < 150, np.where(np.arange(200) % 2, "no", "yes"), "yes"))
    job = prepare(table, SPEC, 10)
    assert not any("latest" in note for note in job.notes)


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("row_id", np.arange(200)),  # each once
        ("shop_id", np.arange(200) % 7),  # few, of many rows: categories
        ("kind_key", np.where(np.arange(200) < 100, 0, np.arange(200))),  # half of all rows are one
        ("amount", np.arange(200) // 2),  # not called an id
        ("birth_date", pd.date_range("1950-01-01", periods=200)),  # of a person, not of the row
        ("opened", pd.Series(pd.date_range("2024-01-01", periods=200)).sample(frac=1, random_state=0).to_numpy()),
    ],
)
def test_what_says_nothing_about_the_split(column: str, values: np.ndarray) -> None:
    assert bond_of(log().drop(columns="seen").assign(**{column: values}), ["y"]) is None
