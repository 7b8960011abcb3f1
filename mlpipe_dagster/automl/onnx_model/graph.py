"""An ONNX graph written as formulas: values that can be added, compared and looked up.

Knows ONNX's operators and nothing of models. Numbers are 64 bits wide throughout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSETS = {"": 18, "ai.onnx.ml": 3}
"""What the operators used here need; runtimes since 2022 know them."""
IR_VERSION = 8
DOUBLE, TEXT, WHOLE, SINGLE = TensorProto.DOUBLE, TensorProto.STRING, TensorProto.INT64, TensorProto.FLOAT
Array = NDArray[Any]


@dataclass(frozen=True)
class Value:
    """A tensor of the graph by its name; arithmetic on it adds nodes."""

    graph: "Graph"
    name: str

    def op(self, kind: str, *others: "Value | float", **attributes: Any) -> "Value":
        """The first output of an operator on this value and others."""
        return self.graph.node(kind, self, *others, **attributes)

    def __add__(self, other: "Value | float") -> "Value":
        return self.op("Add", other)

    def __sub__(self, other: "Value | float") -> "Value":
        return self.op("Sub", other)

    def __mul__(self, other: "Value | float") -> "Value":
        return self.op("Mul", other)

    def __truediv__(self, other: "Value | float") -> "Value":
        return self.op("Div", other)

    def __lt__(self, other: "Value | float") -> "Value":
        return self.op("Less", other)

    def floored(self, step: float) -> "Value":
        """How often `step` fits in, rounded down."""
        return (self / step).op("Floor")

    def rest(self, step: float) -> "Value":
        """What is left of whole steps."""
        return self - self.floored(step) * step

    def cast(self, kind: int) -> "Value":
        """The same as another type."""
        return self.op("Cast", to=kind)


class Graph:
    """Inputs, constants and nodes, in the order in which they were added."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._count = 0

    def input(self, name: str, kind: int) -> Value:
        """An input of one value a row."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, ["rows", 1]))
        return Value(self, name)

    def constant(self, value: Array | float) -> Value:
        """An array that is part of the model; numbers become 64 bits wide."""
        name = self._new("constant")
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return Value(self, name)

    def node(self, kind: str, *given: Value | float, domain: str = "", **attributes: Any) -> Value:
        """The first output of an operator."""
        taken = [one if isinstance(one, Value) else self.constant(np.float64(one)) for one in given]
        name = self._new(kind)
        names = [one.name for one in taken]
        self._nodes.append(helper.make_node(kind, names, [name], name=name, domain=domain, **attributes))
        return Value(self, name)

    def joined(self, parts: Sequence[Value]) -> Value:
        """Columns side by side."""
        return parts[0] if len(parts) == 1 else self.node("Concat", *parts, axis=1)

    def where(self, condition: Value, then: Value | float, otherwise: Value | float) -> Value:
        """The one or the other, row by row."""
        return condition.op("Where", then, otherwise)

    def looked_up(self, texts: Value, known: Sequence[str], table: Array) -> Value:
        """The line of `table` for each text; its last line for texts that are not `known`."""
        places = texts.op(
            "LabelEncoder",
            domain="ai.onnx.ml",
            keys_strings=list(known),
            values_int64s=list(range(len(known))),
            default_int64=len(known),
        )
        flat = places.op("Reshape", self.constant(np.array([-1])))
        return self.constant(table).op("Gather", flat, axis=0)

    def model(self, outputs: Sequence[tuple[str, Value, int, list[str | int]]], about: dict[str, str]) -> bytes:
        """The finished model: its outputs as (name, value, type, shape), with what is to be said `about` it."""
        ends = [helper.make_node("Identity", [value.name], [name], name=name) for name, value, _, _ in outputs]
        infos = [helper.make_tensor_value_info(name, kind, shape) for name, _, kind, shape in outputs]
        graph = helper.make_graph([*self._nodes, *ends], "mlpipe", self._inputs, infos, self._constants)
        opsets = [helper.make_opsetid(domain, number) for domain, number in OPSETS.items()]
        made = helper.make_model(graph, opset_imports=opsets, producer_name="mlpipe", ir_version=IR_VERSION)
        helper.set_model_props(made, about)
        return bytes(made.SerializeToString())

    def _new(self, kind: str) -> str:
        self._count += 1
        return f"{kind}:{self._count}"  # the names of inputs are those of columns: none is likely to be this one
