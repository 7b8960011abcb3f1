"""The first two steps of a pipeline as ONNX: raw columns, one input each, to the features that an estimator reads.

What an input takes: numbers as they are (NaN where missing), truth values as 1, 0 and NaN, dates as days since 1970 in
UTC with their fraction, texts trimmed and "" where missing. The counterpart in Python is `preparation.py`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from mlpipe_dagster.automl.encoders import UNSEEN
from mlpipe_dagster.automl.model import FeatureColumn, FeatureSchema, SensitiveSign
from mlpipe_dagster.automl.onnx_model.graph import DOUBLE, TEXT, Array, Graph, Value
from mlpipe_dagster.automl.preparation import MISSING, WORDS, read_signs
from mlpipe_dagster.errors import ModelError

DAY_MILLISECONDS = 86_400_000
TRANSFORMERS = {"numbers", "gaps", "averages", "values"}


def read_columns(graph: Graph, schema: FeatureSchema) -> dict[str, Value]:
    """The typed columns `ci` and `ci:part`, each rows x 1, from one input for each raw column."""
    inputs = {column.name: graph.input(column.name, _type(column)) for column in schema.columns}
    typed: dict[str, Value] = {}
    for position, column in enumerate(schema.columns):
        raw, name = inputs[column.name], f"c{position}"
        if column.kind == "datetime":
            typed |= {f"{name}:{part}": value for part, value in _date_parts(graph, raw).items()}
        else:
            typed[name] = raw
    return _without_trace(graph, schema, typed, inputs) if schema.removal else typed


def _type(column: FeatureColumn) -> int:
    return TEXT if column.kind in ("category", "text") else DOUBLE


def _date_parts(graph: Graph, days: Value) -> dict[str, Value]:
    """Of days since 1970, to the millisecond. The calendar is the proleptic Gregorian one, counted from March on in
    eras of 400 years (H. Hinnant, chrono-Compatible Low-Level Date Algorithms).
    """
    milliseconds = (days * DAY_MILLISECONDS).op("Round")
    day = milliseconds.floored(DAY_MILLISECONDS)
    since_march = day + 719_468
    era = since_march.floored(146_097)
    of_era = since_march - era * 146_097
    year_of_era = (of_era - of_era.floored(1_460) + of_era.floored(36_524) - of_era.floored(146_096)).floored(365)
    of_year = of_era - year_of_era * 365 - year_of_era.floored(4) + year_of_era.floored(100)
    month = (of_year * 5 + 2).floored(153)
    calendar_month = graph.where(month < 10, month + 3, month - 9)
    return {
        "year": year_of_era + era * 400 + graph.where(calendar_month < 3, 1.0, 0.0),
        "month": calendar_month,
        "day": of_year - (month * 153 + 2).floored(5) + 1,
        "weekday": (day + 3).rest(7),
        "hour": milliseconds.rest(DAY_MILLISECONDS).floored(DAY_MILLISECONDS / 24),
        "days": days,
    }


def _without_trace(
    graph: Graph, schema: FeatureSchema, typed: dict[str, Value], inputs: dict[str, Value]
) -> dict[str, Value]:
    removal = schema.removal
    numbers = [f"c{at}" for at, column in enumerate(schema.columns) if column.kind == "number"]
    if removal is None or not numbers:
        return typed
    signs = graph.joined([_sign(graph, sign, inputs) for sign in removal.signs])
    trace = (signs - graph.constant(np.array(removal.means))).op("MatMul", graph.constant(np.array(removal.slopes)))
    columns = {name: trace.op("Gather", graph.constant(np.array([at])), axis=1) for at, name in enumerate(numbers)}
    return typed | {name: typed[name] - column for name, column in columns.items()}


def _sign(graph: Graph, sign: SensitiveSign, inputs: dict[str, Value]) -> Value:
    """Of a sensitive column, which is an input that the features themselves need not read."""
    raw = inputs.get(sign.column)
    if raw is None:
        raw = inputs[sign.column] = graph.input(sign.column, DOUBLE if sign.values is None else TEXT)
    if sign.values is None:
        return graph.where(raw.op("IsNaN"), sign.middle, raw)
    known = pd.DataFrame({sign.column: [*sign.values, UNSEEN]})
    table = read_signs(known, [sign.model_dump(mode="json")])
    return _looked_up(graph, raw, list(sign.values), table)


def encode(graph: Graph, fitted: ColumnTransformer, typed: dict[str, Value]) -> Value:
    """The features of typed columns, rows x features, as the fitted encoders give them.

    Raises
    ------
    ModelError
        An encoder is not one that is known here.
    """
    parts: list[Value] = []
    for name, transformer, columns in fitted.transformers_:
        if name == "remainder" or not len(columns):
            continue
        if name.startswith(WORDS):
            raise ModelError("a column of texts is read word by word, which the export does not know")
        if name not in TRANSFORMERS:
            raise ModelError(f"the encoder “{name}” is not known to the export")
        if name == "numbers":
            parts.append(_numbers(graph.joined([typed[column] for column in columns]), transformer))
        elif name == "gaps":
            parts.append(graph.joined([typed[column] for column in columns]).op("IsNaN").cast(DOUBLE))
        else:
            parts.append(_texts(graph, transformer, columns, typed))
    return graph.joined(parts)


def scaled(features: Value, fitted: ColumnTransformer) -> Value:
    """The features of linear models made of those of trees, as the members of an ensemble read them (`ensemble.py`)."""
    graph = features.graph
    parts: list[Value] = []
    for name, transformer, places in fitted.transformers_:
        if name == "remainder":
            continue
        block = features.op("Gather", graph.constant(np.asarray(places, dtype=np.int64)), axis=1)
        if name == "gaps":
            parts.append(block.op("IsNaN").cast(DOUBLE))
        elif name == "averages":
            parts.append(_standardised(block, transformer))
        else:
            parts.append(_numbers(block, transformer))
    return graph.joined(parts)


def _numbers(numbers: Value, transformer: Any) -> Value:
    if not isinstance(transformer, Pipeline):
        return numbers
    filler, scaler = (step for _, step in transformer.steps)
    graph = numbers.graph
    filled = graph.where(numbers.op("IsNaN"), graph.constant(filler.statistics_), numbers)
    return _standardised(filled, scaler)


def _standardised(numbers: Value, scaler: Any) -> Value:
    return (numbers - numbers.graph.constant(scaler.mean_)) / numbers.graph.constant(scaler.scale_)


def _texts(graph: Graph, transformer: Any, columns: Sequence[str], typed: dict[str, Value]) -> Value:
    """Each text looked up in what the encoder gives for every value it has seen, and for one that it has not."""
    encoder = transformer[0] if isinstance(transformer, Pipeline) else transformer
    seen = [[str(value) for value in values] for values in encoder.categories_]
    longest = max(map(len, seen)) + 1
    probe = pd.DataFrame(
        {name: [*values, *[UNSEEN] * (longest - len(values))] for name, values in zip(columns, seen, strict=True)},
        dtype=object,
    )
    table = np.asarray(transformer.transform(probe), dtype=np.float64)
    owners = np.array([_owner(name, columns) for name in transformer.get_feature_names_out(list(columns))])
    looked_up = []
    for at, (name, values) in enumerate(zip(columns, seen, strict=True)):
        places = np.flatnonzero(owners == at)
        looked_up.append(_looked_up(graph, typed[name], values, table[: len(values) + 1, places]))
    return _in_order(graph, graph.joined(looked_up), np.argsort(np.argsort(owners, kind="stable"), kind="stable"))


def _looked_up(graph: Graph, texts: Value, known: list[str], table: Array) -> Value:
    """Missing texts come as "" and are known, or unseen, as `(missing)`."""
    missing = table[known.index(MISSING) if MISSING in known else -1]
    return graph.looked_up(texts, [*known, ""], np.vstack([table[:-1], missing, table[-1]]))


def _in_order(graph: Graph, features: Value, places: Array) -> Value:
    """Features as the encoder orders them; those of one column need not stand together."""
    if np.array_equal(places, np.arange(len(places))):
        return features
    return features.op("Gather", graph.constant(places), axis=1)


def _owner(feature: str, columns: Sequence[str]) -> int:
    """Position of the column a feature comes from: the longest name that the feature's begins with."""
    return max(
        (at for at, name in enumerate(columns) if feature == name or feature.startswith(f"{name}_")),
        key=lambda at: len(columns[at]),
    )
