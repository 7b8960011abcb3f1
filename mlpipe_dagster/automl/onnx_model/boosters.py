"""Trees of XGBoost and CatBoost, read from the JSON that each library writes. Both read numbers 32 bits wide."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit

from mlpipe_dagster.automl.onnx_model.graph import Array
from mlpipe_dagster.automl.onnx_model.trees import Ensemble, Tree
from mlpipe_dagster.errors import ModelError


def xgboost(booster: Any) -> Ensemble:
    """Raw scores of a booster, of the rounds it predicts with; raises ModelError where it splits on categories."""
    learner = json.loads(booster.save_raw("json"))["learner"]
    model, about = learner["gradient_booster"]["model"], learner["learner_model_param"]
    outputs = max(int(about["num_class"]), 1)
    base = np.array(json.loads(about["base_score"]), dtype=np.float64)
    if learner["objective"]["name"] == "binary:logistic":
        base = np.asarray(logit(base))
    found = Ensemble(outputs, np.broadcast_to(base, (outputs,)))
    used = model["iteration_indptr"][booster.best_iteration + 1]
    for tree, output in zip(model["trees"][:used], model["tree_info"], strict=False):
        found.trees.append(_xgboost_tree(tree, output, outputs))
    return found


def _xgboost_tree(said: dict[str, Any], output: int, outputs: int) -> Tree:
    if any(said["split_type"]):
        raise ModelError("XGBoost that splits on categories is not exported")
    left, right = np.array(said["left_children"]), np.array(said["right_children"])
    leaf, own = left < 0, np.arange(len(left))
    values = np.array(said["split_conditions"], dtype=np.float32)  # of a leaf: what it adds
    weights = np.zeros((len(left), outputs))
    weights[:, output] = np.where(leaf, values, 0.0)
    return Tree(
        feature=np.where(leaf, 0, said["split_indices"]),
        threshold=np.where(leaf, 0.0, np.nextafter(values, np.float32(-np.inf))),  # to the left where below
        left=np.where(leaf, own, left),
        right=np.where(leaf, own, right),
        missing_left=np.where(leaf, 0, said["default_left"]),
        leaf=leaf,
        weights=weights,
    )


def catboost(estimator: Any) -> Ensemble:
    """Raw scores of a fitted estimator; raises ModelError where it has other splits than of numbers."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.json"
        estimator.save_model(str(file), format="json")
        said = json.loads(file.read_text())
    scale, bias = said["scale_and_bias"]
    features = said["features_info"]["float_features"]
    place = np.array([feature["flat_feature_index"] for feature in features], dtype=np.int64)
    missing_left = np.array([feature["nan_value_treatment"] != "AsTrue" for feature in features])
    found = Ensemble(len(bias), np.array(bias, dtype=np.float64))
    for tree in said["oblivious_trees"]:
        splits = tree["splits"] or []
        if any(split["split_type"] != "FloatFeature" for split in splits):
            raise ModelError("CatBoost that splits on categories or texts is not exported")
        read = np.array([split["float_feature_index"] for split in splits], dtype=np.int64)
        borders = np.array([split["border"] for split in splits], dtype=np.float32)
        values = scale * np.array(tree["leaf_values"]).reshape(2 ** len(splits), len(bias))
        found.trees.append(_oblivious(place[read], borders, missing_left[read], values))
    return found


def _oblivious(feature: Array, border: Array, missing_left: Array, values: Array) -> Tree:
    """A tree with the same question on every node of a level: the n-th answer is the n-th bit of the leaf's number."""
    depth, leaves = len(feature), len(values)
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))  # node n is asked before 2n + 1 and 2n + 2
    splits, own = len(level), np.arange(len(level) + leaves)
    leaf = own >= splits
    path = np.arange(leaves)
    number = sum(((path >> (depth - 1 - at)) & 1) << at for at in range(depth)) if depth else path
    weights = np.concatenate([np.zeros((splits, values.shape[1])), values[number]])

    def of_nodes(asked: Array) -> Array:
        return np.concatenate([asked[level], np.zeros(leaves)])

    return Tree(
        feature=of_nodes(feature).astype(np.int64),
        threshold=of_nodes(border),
        left=np.where(leaf, own, 2 * own + 1),
        right=np.where(leaf, own, 2 * own + 2),
        missing_left=of_nodes(missing_left),
        leaf=leaf,
        weights=weights,
    )
