"""Files that are damaged, hostile or too large end in a sentence, and in no more than that."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from mlpipe_dagster.errors import ModelError
from mlpipe_dagster.vocabulary import TaskKind
from mlpipe_dagster.xai.outside.apart import Limits, explain_apart
from mlpipe_dagster.xai.outside.given import Described
from mlpipe_dagster.xai.outside.model import read_outside
from mlpipe_dagster_tests.xai.outside.files import FEATURES, as_onnx, as_skops, fitted, table_of

TABLE = table_of("binary", 120)
DESCRIBED = Described("binary", TaskKind.BINARY, "theirs")


def read(path: Path, described: Described = DESCRIBED) -> None:
    read_outside(path, TABLE, described)


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """The table as a stage has it."""
    TABLE.to_parquet(tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("name", ["model.onnx", "model.skops"])
def test_a_pickle_under_another_name_is_not_unpickled(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Evil(tmp_path / "mark")))
    with pytest.raises(ModelError, match=name):
        read(tmp_path / name)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_truncated_files(tmp_path: Path, kept: float) -> None:
    model = fitted(TABLE, "binary", LogisticRegression())
    for path in (as_onnx(model, FEATURES, tmp_path / "m.onnx"), as_skops(model, tmp_path / "m.skops")):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
        with pytest.raises(ModelError, match=path.name):
            read(path)


def test_a_skops_file_with_a_part_missing_or_of_nonsense(tmp_path: Path) -> None:
    path = as_skops(fitted(TABLE, "binary", LogisticRegression()), tmp_path / "m.skops")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for changed in ({"schema.json": b"{}"}, {"schema.json": b"[" * 100_000}, {"schema.json": b"no json"}):
        _rewrite(path, parts | changed)
        with pytest.raises(ModelError, match=r"m\.skops"):
            read(path)
    _rewrite(path, {"schema.json": parts["schema.json"]})
    with pytest.raises(ModelError, match=r"m\.skops"):
        read(path)


def _rewrite(path: Path, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_types_that_nobody_trusts_are_not_made(tmp_path: Path) -> None:
    skops.io.dump(FunctionTransformer(os.system), tmp_path / "m.skops")
    with pytest.raises(ModelError, match=r"holds the type .*system, which is not trusted"):
        read(tmp_path / "m.skops")


def test_a_skops_file_that_unpacks_to_a_great_deal(tmp_path: Path) -> None:
    path = tmp_path / "m.skops"
    _rewrite(path, {"schema.json": b"{}", "zeros.npy": bytes(4_000_000)})
    assert path.stat().st_size < 20_000
    with pytest.raises(ModelError, match="unpacks to more than may be loaded"):
        read(path, Described("binary", TaskKind.BINARY, "theirs", most_bytes=1_000_000))


def test_a_skops_file_that_predicts_nothing(tmp_path: Path) -> None:
    skops.io.dump({"a": [1, 2]}, tmp_path / "m.skops")
    with pytest.raises(ModelError, match="holds a dict, which predicts nothing"):
        read(tmp_path / "m.skops")


def onnx_model(path: Path, node: Any, initializers: list[Any] | None = None, inputs: str = "strong") -> Path:
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info(inputs, TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [None, None])],
        initializers or [],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("theirs", 1)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    return path


def test_an_operator_of_their_own_is_refused(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "m.onnx", helper.make_node("Own", ["strong"], ["out"], domain="theirs"))
    with pytest.raises(ModelError, match="standard operators only"):
        read(path)


@pytest.mark.parametrize("place", ["../secret.bin", "/etc/hostname"])
def test_weights_outside_the_file_are_not_read(tmp_path: Path, place: str) -> None:
    (tmp_path / "secret.bin").write_bytes(np.ones(1, np.float32).tobytes())
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1, 1], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": place, "offset": "0", "length": "4"}.items():
        tensor.external_data.add(key=key, value=value)
    (tmp_path / "sub").mkdir()
    path = onnx_model(tmp_path / "sub" / "m.onnx", helper.make_node("MatMul", ["strong", "w"], ["out"]), [tensor])
    with pytest.raises(ModelError, match="all weights in the one file"):
        read(path)


def test_an_answer_with_more_rows_than_were_asked(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "m.onnx", helper.make_node("Concat", ["strong", "strong"], ["out"], axis=0))
    with pytest.raises(ModelError, match="not one row each"):
        read(path)


def test_the_process_explains(tmp_path: Path, parquet: Path) -> None:
    path = as_skops(fitted(TABLE, "binary", LogisticRegression()), tmp_path / "m.skops")
    explanation = explain_apart(path, parquet, DESCRIBED, hidden=("colour",))
    assert explanation.columns[0].name == "strong"
    assert next(column for column in explanation.columns if column.name == "colour").hidden


@pytest.mark.long
def test_the_process_says_what_was_refused(tmp_path: Path, parquet: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"m\.onnx is not an ONNX model"):
        explain_apart(tmp_path / "m.onnx", parquet, DESCRIBED)


def test_a_model_that_fills_the_memory(tmp_path: Path, parquet: Path) -> None:
    """A few bytes that ask for 100 GB."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [160_000, 160_000])
    node = helper.make_node("ConstantOfShape", ["shape"], ["out"])
    path = onnx_model(tmp_path / "m.onnx", node, [shape])
    with pytest.raises(ModelError, match=r"cannot be used|not one row|is not an ONNX|broke over it|more memory"):
        explain_apart(path, parquet, DESCRIBED)


def test_a_model_that_takes_too_long(tmp_path: Path, parquet: Path) -> None:
    path = as_skops(fitted(TABLE, "binary", LogisticRegression()), tmp_path / "m.skops")
    with pytest.raises(ModelError, match=r"could not be explained within 0\.05 s"):
        explain_apart(path, parquet, DESCRIBED, limits=Limits(seconds=0.05))


@pytest.mark.long
def test_a_model_that_crashes_its_process(tmp_path: Path, parquet: Path) -> None:
    """Trees whose children lie outside the tree: scikit-learn reads where nothing is."""
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(random_state=0).fit(TABLE[["strong"]], TABLE["binary"])
    state = model.tree_.__getstate__()
    state["nodes"]["left_child"][0] = state["nodes"]["right_child"][0] = 2**40
    model.tree_.__setstate__(state)
    path = as_skops(model, tmp_path / "m.skops")
    with pytest.raises(ModelError, match=r"broke over it|cannot be used|not a model that skops reads"):
        explain_apart(path, parquet, DESCRIBED)
