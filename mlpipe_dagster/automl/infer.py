"""Which column a table is probably about, and what kind of task it makes: read off the profile, no data needed.

General rules only: names people give to targets, position, number of values. Imports nothing heavy: the agentic core
uses it.
"""

import re

from mlpipe_dagster.errors import TargetError
from mlpipe_dagster.tables.profile import ColumnProfile, Profile
from mlpipe_dagster.vocabulary import TaskKind

MOST_WHOLE_NUMBER_CLASSES = 12
MOST_CLASSES = 50
_HINTS: dict[float, str] = {
    10: "target label",
    9: "class y outcome response churn churned survived",
    8: "readmitted readmission fraud fraudulent diagnosis attrition exited defaulted converted subscribed dependent",
    7: "default price value approved clicked cancelled died death mortality disease output hired admitted accepted",
    6: "income salary quality rating result sales revenue cost costs charges loan_status risk passed pass",
    5: "grade amount demand consumption yield profit species category type",
    4: "credit score status count",
}
_POINTS = {word: points for points, words in _HINTS.items() for word in words.split()}
_SELDOM_TARGETS = frozenset(
    [
        "sex",
        "gender",
        "race",
        "ethnicity",
        "ethnic",
        "religion",
        "nationality",
        "age",
        "marital",
        "disability",
        "disabled",
        "birth",
        "born",
        "dob",
    ]
)
_BOOKKEEPING = frozenset(
    ["split", "fold", "partition", "subset", "train", "test", "weight", "weights", "timestamp", "date", "id", "index"]
)
_NEVER = frozenset({"identifier", "constant", "empty", "text", "datetime"})
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def infer_task(column: ColumnProfile, row_count: int) -> tuple[TaskKind, str]:
    """The task that predicting `column` makes, and a sentence that says why.

    Raises
    ------
    TargetError
        The column cannot be a target: empty, constant, an identifier, free text or dates.
    """
    if column.kind in _NEVER or column.distinct < 2:
        raise TargetError(f"“{column.name}” cannot be predicted: {_why_never(column)}. Choose another column.")
    if column.distinct == 2 or column.kind == "boolean":
        return TaskKind.BINARY, f"“{column.name}” has two values, so the task is binary classification."
    if column.kind == "category":
        reason = f"“{column.name}” has {column.distinct} categories, so the task is multiclass classification."
        return TaskKind.MULTICLASS, reason
    if _whole(column) and column.distinct <= min(MOST_WHOLE_NUMBER_CLASSES, max(2, row_count // 10)):
        reason = f"“{column.name}” has only {column.distinct} whole numbers, so the task is multiclass classification."
        return TaskKind.MULTICLASS, reason
    return TaskKind.REGRESSION, f"“{column.name}” has {column.distinct} different numbers, so the task is regression."


def _whole(column: ColumnProfile) -> bool:
    if column.data_type.lower().startswith(("int", "uint")):
        return True
    return bool(column.top_values) and all(re.fullmatch(r"-?\d+(\.0*)?", top.value) for top in column.top_values)


def _why_never(column: ColumnProfile) -> str:
    reasons = {
        "identifier": "it identifies rows",
        "text": "it holds free text",
        "datetime": "it holds dates",
        "empty": "it is empty",
    }
    return reasons.get(column.kind, "all its values are the same")


def infer_target(profile: Profile) -> tuple[str, str]:
    """The column most likely meant as target, and a sentence that says why.

    Never an identifier, a column that identifies people, free text, dates, or one that hardly varies.

    Raises
    ------
    TargetError
        No column can be a target.
    """
    count = len(profile.columns)
    scored = [
        (_points(column, position, count), position, column)
        for position, column in enumerate(profile.columns)
        if _possible(column, profile.row_count)
    ]
    if not scored:
        raise TargetError(
            "No column of this table can be predicted: all are identifiers, personal data, free text, dates or "
            "constant. Name the target column yourself if one is."
        )
    _, position, column = max(scored, key=lambda entry: entry[:2])
    return column.name, _reason(column, position, count)


def _possible(column: ColumnProfile, row_count: int) -> bool:
    """Whether a column can be a target at all."""
    present = row_count - column.missing
    if column.kind in _NEVER or column.personal or column.distinct < 2 or present < row_count / 2:
        return False
    return column.kind == "number" or column.distinct <= min(MOST_CLASSES, max(2, present // 5))


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORDS.findall(name)]


def _name_points(name: str) -> float:
    """How much a name sounds like a target: fully as the whole name or its last word, half anywhere else."""
    words = _words(name)
    if not words:
        return 0.0
    whole = "_".join(words)
    if whole in _POINTS:
        return _POINTS[whole] + 2
    return max([_POINTS.get(words[-1], 0.0), *(_POINTS.get(word, 0.0) / 2 for word in words[:-1])])


def _points(column: ColumnProfile, position: int, count: int) -> float:
    words = set(_words(column.name))
    points = _name_points(column.name)
    points += {count - 1: 3.0, count - 2: 1.0, 0: 1.0}.get(position, 0.0)
    points += 1.5 if column.distinct == 2 else 1.0 if column.kind == "category" and column.distinct <= 10 else 0.5
    points -= 6.0 if words & _SELDOM_TARGETS else 0.0
    points -= 8.0 if words & _BOOKKEEPING else 0.0
    return points


def _reason(column: ColumnProfile, position: int, count: int) -> str:
    values = f"it has {column.distinct} different values"
    if _name_points(column.name) >= 4:
        return f"“{column.name}” is taken as the target: its name sounds like one, and {values}."
    if position == count - 1:
        return f"“{column.name}” is taken as the target: it is the last column that can be one, and {values}."
    return (
        f"“{column.name}” is taken as the target for want of a clearer sign: {values}. Name another one if it is wrong."
    )
