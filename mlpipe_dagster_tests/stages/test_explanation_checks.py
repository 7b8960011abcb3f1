"""What deserves a look in an explanation fails its check, each with the words for a person."""

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlpipe_dagster.stages.explanation_checks import explanation_checks
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.explain import explain_model
from mlpipe_dagster.xai.explanation import ModelExplanation
from mlpipe_dagster.xai.pieces import Agreement, Note
from mlpipe_dagster_tests.xai.models import planted, trained

SMALL = 1_000


@pytest.fixture(scope="module")
def found() -> ModelExplanation:
    table: pd.DataFrame = planted(160)[["noise", "weak", "strong", "binary"]]
    return explain_model(trained(table, "binary", TaskKind.BINARY, LogisticRegression(), linear=True), table)


def failing(found: ModelExplanation, page: int = SMALL) -> dict[str, str]:
    return {check.name: check.severity for check in explanation_checks(found, page) if not check.passed}


def test_an_ordinary_explanation_passes_all_four(found: ModelExplanation) -> None:
    assert len(explanation_checks(found, SMALL)) == 4
    assert failing(found) == {}


def test_values_that_do_not_add_up_are_an_error(found: ModelExplanation) -> None:
    assert failing(found.model_copy(update={"additivity_holds": False})) == {"shap_values_add_up": "error"}


def test_a_page_over_its_limit_is_an_error(found: ModelExplanation) -> None:
    assert failing(found, 3_000_001) == {"pages_are_small": "error"}


def test_another_story_after_a_new_fit_is_a_warning(found: ModelExplanation) -> None:
    assert found.stability is not None
    other = found.stability.model_copy(update={"refitted": Agreement(top=5, shared=2, correlation=0.1)})
    assert failing(found.model_copy(update={"stability": other})) == {"explanation_is_stable": "warn"}


def test_a_near_perfect_score_is_a_warning(found: ModelExplanation) -> None:
    doubted = found.model_copy(update={"suspicions": (Note(key="near_perfect"),)})
    assert failing(doubted) == {"score_is_plausible": "warn"}
