"""What several parts of an explanation are made of: notes, figures, agreements, and the words for what they may say."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

Direction = Literal["raises", "lowers", "mixed", "by value", "none"]

RowKind = Literal["typical", "borderline", "most wrong", "asked for"]

Scale = Literal["log-odds", "margin", "probability", "predicted value"]

How = Literal["exact", "sampled", "left out"]

Sign = Literal["at most", "above", "is", "is not", "is missing", "is known"]

ShapMethod = Literal["trees", "linear", "average", "permutations"]

PartName = Literal[
    "shap",
    "permutation",
    "dependence",
    "ale",
    "interactions",
    "local",
    "counterfactuals",
    "surrogate",
    "weak segments",
    "calibration",
    "thresholds",
    "stability",
]


class Frozen(BaseModel):
    """A part of an explanation: it does not change once it is made."""

    model_config = ConfigDict(frozen=True)


class Note(Frozen):
    """Something to be said beside the numbers: the key of a sentence and what goes into it."""

    key: str
    values: dict[str, str | int | FiniteFloat] = {}


def said(text: str) -> Note:
    """A sentence that others wrote, as a note."""
    return Note(key="said", values={"text": text})


class Output(Frozen):
    """Which output of the model a number is about: `of` is a class, or the target that is predicted."""

    scale: Scale
    of: str


class Part(Frozen):
    """What one part of the explanation did within its share of the time."""

    name: PartName
    how: How
    used: int
    """Rows, columns or pairs it looked at, of `of` there are; both 0 where it was left out."""
    of: int
    output: Output | None = None
    """Which output of the model the part is about, where that is one."""


class Agreement(Frozen):
    """How far two rankings of the same columns agree."""

    correlation: FiniteFloat | None
    """Spearman's, over the columns that both rank; None where one of them does not vary."""
    top: int
    shared: int
    """Of the `top` first columns of one ranking, those among the `top` first of the other."""


class Figure(Frozen):
    """A named number with its 95 % interval, where there is one."""

    name: str
    value: FiniteFloat
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    split: Literal["training", "validation", "test"] | None = None
    """The rows it was measured on, for scores."""
