"""Words that existing clients use, and what each means."""

import pytest

from mlpipe_dagster.errors import BudgetError, TaskError, UserError
from mlpipe_dagster.vocabulary import TaskKind, parse_task, parse_time_budget, parse_wait, published_task


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("classification", None),
        ("Binary", TaskKind.BINARY),
        ("binary_classification", TaskKind.BINARY),
        ("MULTICLASS", TaskKind.MULTICLASS),
        (" multiclass_classification ", TaskKind.MULTICLASS),
        ("Regression", TaskKind.REGRESSION),
    ],
)
def test_task_types_in_any_case(word: str, kind: TaskKind | None) -> None:
    assert parse_task(word) is kind
    assert published_task(word) == ("regression" if kind is TaskKind.REGRESSION else "classification")


def test_task_types_of_others_are_refused_in_words() -> None:
    with pytest.raises(TaskError, match=r"“clustering” is not supported\. Use one of: binary"):
        parse_task("clustering")
    assert published_task("clustering") == "clustering"
    assert published_task(None) is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("10s", 10), ("10m", 600), ("1h", 3600), ("90", 90), ("1.5 m", 90), (" 2H ", 7200)]
)
def test_time_budgets(text: str, seconds: float) -> None:
    assert parse_time_budget(text) == seconds


def test_a_bare_number_may_mean_minutes() -> None:
    assert parse_time_budget("2", "minutes") == 120
    assert parse_time_budget("2s", "minutes") == 2


@pytest.mark.parametrize("text", ["abc", "", "0", "-5", "10d", "nan", "1e3", "10 s s", "999h", "9" * 400])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(BudgetError, match="time budget"):
        parse_time_budget(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), (" 2H ", 7200), ("1.5 d", 129_600), ("365d", 31_536_000), ("None", None)],
)
def test_times_to_wait(text: str, seconds: float | None) -> None:
    assert parse_wait(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0", "-5", "366d", "2 weeks", "1e3", "nan", "s", "9" * 400])
def test_what_is_no_time_to_wait_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="is no time to wait"):
        parse_wait(text)
