"""Ensembles of trees as one TreeEnsembleRegressor: LightGBM, scikit-learn's forests and its histogram boosting.

XGBoost's and CatBoost's are read in `boosters.py`.

Thresholds stay 64 bits wide and every node knows where a missing number goes. The sums come out 32 bits wide.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import numpy_helper

from mlpipe_dagster.automl.onnx_model.graph import DOUBLE, Array, Value
from mlpipe_dagster.errors import ModelError

DEFAULT_LEFT = 2
"""LightGBM's `decision_type`: bit 0 is a split on categories, bit 1 the default, bits 2 and 3 what is missing."""


@dataclass(frozen=True)
class Tree:
    """Nodes in any order, the root first; a leaf is its own child. All arrays have one entry a node."""

    feature: Array
    threshold: Array
    """To the left where the number is not above it."""
    left: Array
    right: Array
    missing_left: Array
    leaf: Array
    weights: Array
    """(nodes, outputs): what a leaf adds to each output."""


@dataclass
class Ensemble:
    """Trees collected for one node of the graph."""

    outputs: int
    base: Array
    trees: list[Tree] = field(default_factory=list)

    def applied(self, features: Value) -> Value:
        """Sums over the trees plus the base, rows x outputs."""
        sizes = [len(tree.leaf) for tree in self.trees]
        leaf, weights = (np.concatenate([getattr(tree, name) for tree in self.trees]) for name in ("leaf", "weights"))
        owner = np.repeat(np.arange(len(sizes)), sizes)
        number = np.concatenate([np.arange(size) for size in sizes])
        lines, outputs = np.nonzero(np.repeat(leaf[:, None], self.outputs, axis=1) & (weights != 0))
        sums = features.op(
            "TreeEnsembleRegressor",
            domain="ai.onnx.ml",
            n_targets=self.outputs,
            nodes_treeids=owner,
            nodes_nodeids=number,
            nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
            nodes_featureids=self._all("feature"),
            nodes_values_as_tensor=numpy_helper.from_array(self._all("threshold").astype(np.float64)),
            nodes_truenodeids=self._all("left"),
            nodes_falsenodeids=self._all("right"),
            nodes_missing_value_tracks_true=self._all("missing_left").astype(np.int64),
            target_treeids=owner[lines],
            target_nodeids=number[lines],
            target_ids=outputs,
            target_weights_as_tensor=numpy_helper.from_array(weights[lines, outputs]),
        )
        return sums.cast(DOUBLE) + features.graph.constant(self.base)

    def _all(self, name: str) -> Array:
        return np.concatenate([getattr(tree, name) for tree in self.trees])


def forest(estimator: Any) -> Ensemble:
    """The mean over the trees of a fitted forest: class shares, or one value. It reads 32 bits wide numbers."""
    classes = hasattr(estimator, "classes_")
    outputs = len(estimator.classes_) if classes else 1
    found = Ensemble(outputs, np.zeros(outputs))
    for one in estimator.estimators_:
        tree = one.tree_
        leaf = tree.children_left < 0
        own = np.arange(tree.node_count)
        values = tree.value[:, 0, :] / len(estimator.estimators_)
        found.trees.append(
            Tree(
                feature=np.where(leaf, 0, tree.feature),
                threshold=np.where(leaf, 0.0, tree.threshold),
                left=np.where(leaf, own, tree.children_left),
                right=np.where(leaf, own, tree.children_right),
                missing_left=np.where(leaf, 0, tree.missing_go_to_left),
                leaf=leaf,
                weights=values,
            )
        )
    return found


def histogram(estimator: Any) -> Ensemble:
    """Raw scores of a fitted HistGradientBoosting; raises ModelError where it splits on categories."""
    base = np.asarray(estimator._baseline_prediction, dtype=np.float64).reshape(-1)
    found = Ensemble(len(base), base)
    for iteration in estimator._predictors:
        for output, predictor in enumerate(iteration):
            nodes = predictor.nodes
            if nodes["is_categorical"].any():
                raise ModelError("histogram gradient boosting that splits on categories is not exported")
            leaf = nodes["is_leaf"].astype(bool)
            own = np.arange(len(nodes))
            weights = np.zeros((len(nodes), len(base)))
            weights[:, output] = nodes["value"]
            found.trees.append(
                Tree(
                    feature=np.where(leaf, 0, nodes["feature_idx"]),
                    threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
                    left=np.where(leaf, own, nodes["left"]).astype(np.int64),
                    right=np.where(leaf, own, nodes["right"]).astype(np.int64),
                    missing_left=np.where(leaf, 0, nodes["missing_go_to_left"]),
                    leaf=leaf,
                    weights=weights,
                )
            )
    return found


def lightgbm(booster: Any) -> Ensemble:
    """Raw scores of a booster, of the rounds it predicts with, read from LightGBM's text format.

    Raises
    ------
    ModelError
        It splits on categories, takes zeros for missing, or has linear models in its leaves.
    """
    outputs = booster.num_model_per_iteration()
    found = Ensemble(outputs, np.zeros(outputs))
    for number, said in enumerate(_blocks(booster.model_to_string())):
        found.trees.append(_lightgbm_tree(said, number % outputs, outputs))
    return found


def _blocks(text: str) -> Iterator[dict[str, str]]:
    for block in text.partition("end of trees")[0].split("\nTree=")[1:]:
        yield dict(line.split("=", 1) for line in block.splitlines() if "=" in line)


def _numbers(said: dict[str, str], name: str) -> Array:
    return np.array([float(number) for number in said.get(name, "").split()])


def _lightgbm_tree(said: dict[str, str], output: int, outputs: int) -> Tree:
    leaves = _numbers(said, "leaf_value")
    splits = len(leaves) - 1
    kinds = _numbers(said, "decision_type").astype(np.int64) if splits else np.array([], dtype=np.int64)
    if (kinds & 1).any() or said.get("is_linear", "0") != "0" or (kinds >> 2 == 1).any():
        raise ModelError("LightGBM with splits on categories, zeros as missing or linear leaves is not exported")
    threshold = _numbers(said, "threshold")[:splits]
    # what is missing where nothing was in training counts as zero
    missing_left = np.where(kinds >> 2 == 2, kinds & DEFAULT_LEFT, threshold >= 0).astype(bool)
    ends = np.zeros(len(leaves))
    own = np.arange(splits, splits + len(leaves))
    weights = np.zeros((splits + len(leaves), outputs))
    weights[splits:, output] = leaves
    return Tree(
        feature=np.concatenate([_numbers(said, "split_feature")[:splits], ends]).astype(np.int64),
        threshold=np.concatenate([threshold, ends]),
        left=np.concatenate([_children(said, "left_child", splits), own]),
        right=np.concatenate([_children(said, "right_child", splits), own]),
        missing_left=np.concatenate([missing_left, ends]),
        leaf=np.arange(splits + len(leaves)) >= splits,
        weights=weights,
    )


def _children(said: dict[str, str], name: str, splits: int) -> Array:
    """Splits are counted from 0; a leaf is `~number`, and stands behind the splits here."""
    children = _numbers(said, name)[:splits].astype(np.int64)
    return np.where(children >= 0, children, splits + ~children)
