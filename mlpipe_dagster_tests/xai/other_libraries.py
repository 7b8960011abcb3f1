"""A small tree and its table, and what other libraries say of them: the program that printed the numbers of
`test_other_libraries.py`. It imports nothing of ours, so it runs where those libraries are:

    pip install shapiq==1.4.1 scikit-learn pandas && python mlpipe_dagster_tests/xai/other_libraries.py
    pip install dalex==1.8.0 scikit-learn && python mlpipe_dagster_tests/xai/other_libraries.py

Neither is a development requirement: shapiq (1.8 wants Python 3.12) has matplotlib with it, which every process that
imports shap would then import too; dalex wants pandas before 3. alibi's licence (BSL) is none we take.
"""

from importlib.util import find_spec
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeRegressor

COLUMNS = ["a", "b", "c"]
ROWS = 37
"""A prime, so that each column holds the same values in another order."""
TEST_ROWS = list(range(0, ROWS, 4))
VALUES = [-1.0, 0.4, 1.7]
"""Of `a`, where partial dependence is asked for."""


def table() -> pd.DataFrame:
    """37 rows; y = ab + c."""
    steps = np.arange(ROWS)
    made = pd.DataFrame({name: (step * steps % ROWS - 18) / 10 for name, step in zip(COLUMNS, (5, 7, 11), strict=True)})
    return made.assign(y=made["a"] * made["b"] + made["c"])


def tree() -> DecisionTreeRegressor:
    """To be fitted on all but the test rows."""
    return DecisionTreeRegressor(max_depth=4, random_state=0)


def of_shapiq(fitted: Any, rows: pd.DataFrame, background: pd.DataFrame) -> None:
    """Path-dependent SHAP values; of every row the Möbius parts of the pairs; marginal Shapley values of one row."""
    import shapiq

    explainer = shapiq.TreeExplainer(fitted, max_order=1, index="SV")
    for row in rows.to_numpy():
        values = explainer.explain(row)
        print("TreeExplainer", np.round(values.get_n_order_values(1), 6).tolist(), values.baseline_value)

    def exact(row: Any, index: str, order: int) -> Any:
        def game(coalitions: Any) -> Any:
            answers = [np.where(known, row, background.to_numpy()) for known in coalitions]
            return np.array([fitted.predict(mixed).mean() for mixed in answers])

        return shapiq.ExactComputer(n_players=len(COLUMNS), game=game)(index, order)

    pairs = list(combinations(range(len(COLUMNS)), 2))
    parts = [[exact(row, "Moebius", 3)[pair] for pair in pairs] for row in background.to_numpy()]
    print("deviation of the Möbius parts", dict(zip(pairs, np.std(parts, axis=0).round(6).tolist(), strict=True)))
    print("SV", exact(rows.to_numpy()[0], "SV", 1).get_n_order_values(1).round(6).tolist())


def of_dalex(fitted: Any, background: pd.DataFrame) -> None:
    """Partial dependence on `a`."""
    import dalex

    explainer = dalex.Explainer(fitted, background, verbose=False)
    profile = explainer.model_profile(
        type="partial", variables=["a"], N=None, variable_splits={"a": VALUES}, verbose=False
    )
    print("partial dependence", profile.result["_yhat_"].round(6).tolist())


if __name__ == "__main__":
    learned = table().drop(index=TEST_ROWS)
    model = tree().fit(learned[COLUMNS].to_numpy(), learned["y"])
    if find_spec("shapiq"):
        of_shapiq(model, table().loc[TEST_ROWS[:3], COLUMNS], learned[COLUMNS])
    if find_spec("dalex"):
        of_dalex(model, learned[COLUMNS])
