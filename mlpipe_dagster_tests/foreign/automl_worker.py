"""A foreign AutoML worker: one linear pipeline, stored as a pickle, ONNX or skops (`MODEL_FORMAT`)."""

import pickle
import time
from typing import Any

import pandas as pd
import skops.io
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from mlpipe_dagster_tests.foreign.tables import downloaded
from mlpipe_dagster_tests.foreign.wire import Subscription, Wire, run

FRAMEWORKS = {"pickle": ("sklearn", "model.pkl"), "onnx": ("onnx", "model.onnx"), "skops": ("sklearn", "model.skops")}


class AutoMlWorker:
    """Trains in a moment, whatever the budget."""

    def __init__(self, wire: Wire, model_format: str = "pickle") -> None:
        self.wire = wire
        self.model_format = model_format

    def on_trigger(self, _key: str, trigger: dict[str, Any]) -> None:
        """Train and store."""
        user_id, dataset_id, target = trigger["user_id"], trigger["dataset_id"], trigger["target_column_name"]
        table = downloaded(self.wire, user_id, dataset_id)
        features = table.drop(columns=target)
        model = fitted(features, table[target], trigger["task_type"])
        framework, filename = FRAMEWORKS[self.model_format]
        form = {
            "model_id": f"automl_{dataset_id}_{int(time.time())}",
            "name": f"Model of {dataset_id}",
            "framework": framework,
            "model_type": trigger["task_type"],
            "algorithm": "linear",
            "training_dataset": dataset_id,
            "training_accuracy": f"{model.score(features, table[target]):.4f}",
        }
        content = written(model, features, self.model_format)
        self.wire.post(f"/ai-models/upload/single/{user_id}", files={"file": (filename, content)}, data=form)


def fitted(features: pd.DataFrame, target: "pd.Series[Any]", task_type: str) -> Pipeline:
    """Numbers scaled, texts one-hot, a linear model."""
    numbers = features.select_dtypes("number").columns.tolist()
    texts = [name for name in features.columns if name not in numbers]
    blocks = [("numbers", StandardScaler(), numbers), ("texts", OneHotEncoder(sparse_output=False), texts)]
    linear = Ridge() if task_type == "regression" else LogisticRegression()
    return make_pipeline(ColumnTransformer([block for block in blocks if block[2]]), linear).fit(features, target)


def written(model: Pipeline, features: pd.DataFrame, model_format: str) -> bytes:
    """The model's file."""
    if model_format == "pickle":
        return pickle.dumps(model)
    if model_format == "skops":
        return bytes(skops.io.dumps(model))
    numbers = set(features.select_dtypes("number").columns)
    kinds = {True: FloatTensorType, False: StringTensorType}
    inputs = [(name, kinds[name in numbers]([None, 1])) for name in features.columns]
    return bytes(to_onnx(model, initial_types=inputs).SerializeToString())


def subscriptions(wire: Wire) -> list[Subscription]:
    """Its trigger."""
    worker = AutoMlWorker(wire, wire.named(("MODEL_FORMAT", "pickle")))
    return [Subscription(TOPIC, GROUP, worker.on_trigger)]


TOPIC = ("KAFKA_AUTOML_TRIGGER_TOPIC", "automl-trigger-events")
GROUP = ("KAFKA_AUTOML_TRIGGER_CONSUMER_GROUP", "automl-consumer")

if __name__ == "__main__":
    run(subscriptions)
