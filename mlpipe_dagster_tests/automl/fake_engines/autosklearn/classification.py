"""A search of two runs, the first of them the dummy; FAKE_ENGINE in the environment says what else it does."""

import os
import time
from types import SimpleNamespace
from typing import Any

import numpy as np


class AutoSklearnClassifier:
    def __init__(self, **settings: Any) -> None:
        if settings["time_left_for_this_task"] < 30:
            raise ValueError("Time left for this task must be at least 30 seconds.")

    def __getstate__(self) -> dict[str, Any]:
        return {"inner": getattr(self, "inner", None)}

    def fit(self, features: Any, truth: Any) -> None:
        wish = os.environ.get("FAKE_ENGINE")
        if wish == "break":
            raise UnboundLocalError("local variable 'result' referenced before assignment")
        if wish != "dummy":
            self._fit(features, truth)
        chosen = {"classifier:__choice__": "sgd", "classifier:sgd:alpha": np.float64(0.1), "balancing": "none"}
        runs = [
            (
                SimpleNamespace(config_id=1),
                SimpleNamespace(
                    status="StatusType.SUCCESS", cost=0.4, time=1.0, endtime=time.time(), additional_info={"num_run": n}
                ),
            )
            for n in (1, 2)
        ]
        history = SimpleNamespace(
            data=SimpleNamespace(items=lambda: runs),
            ids_config={1: SimpleNamespace(get_dictionary=lambda: chosen)},
        )
        members = [(0, 1, 0.0)] if wish == "dummy" else [(0, 1, 0.0), (0, 2, 0.0)]
        self.automl_ = SimpleNamespace(
            runhistory_=history,
            ensemble_=SimpleNamespace(get_selected_model_identifiers=lambda: members),
        )

    def _fit(self, features: Any, truth: Any) -> None:
        from sklearn.linear_model import LogisticRegression  # not for those that fail

        self.inner = LogisticRegression(max_iter=500).fit(self._expanded(features), truth)

    def sprint_statistics(self) -> str:
        return "auto-sklearn results:\n  Number of successful target algorithm runs: 1\n"

    def predict_proba(self, features: Any) -> Any:
        if os.environ.get("FAKE_ENGINE") == "mute":
            raise FloatingPointError("no answer to these rows")
        return self.inner.predict_proba(self._expanded(features))

    def _expanded(self, features: Any) -> Any:
        """With the product of the signs of the first two, which no linear model sees by itself."""
        filled = np.nan_to_num(features)
        return np.column_stack([filled, np.sign(filled[:, 0]) * np.sign(filled[:, 1])])
